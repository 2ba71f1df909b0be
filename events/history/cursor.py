"""Read one partition step by step, first from the archive, then from the stream."""

from collections.abc import AsyncGenerator, Callable
from functools import partial

from events.archive.archive import Archive
from events.archive.errors import DamagedArchiveError
from events.archive.manifest import ArchiveManifest, Gap
from events.archive.segment import Segment
from events.entry.entry_id import END, START, EntryId
from events.entry.entry_line import RawEntry
from events.errors import TrimmedError
from events.log.layout import read_identity
from events.log.log import EventLog
from events.log.partition_chunk import PartitionChunk, read_chunk
from events.log.protocol import READ_COUNT
from events.log.reading import StreamReading
from events.structured_logger import structured_logger

Note = Callable[[TrimmedError], None]
"""Called with the error of missing entries, after which reading continues."""

_log = structured_logger(__name__)


class PartitionCursor(StreamReading):
    """A position in a partition, over archive and stream, which every step advances."""

    def __init__(
        self,
        log: EventLog,
        archive: Archive | None,
        on_gap: Note | None,
        partition: int,
        position: EntryId = START,
    ) -> None:
        super().__init__(log.server, log.keys, partition, position)
        self._log = log
        self._archive = archive
        self._on_gap = on_gap
        # How many entries were ever appended up to the position; None: unknown.
        self._known = 0 if position == START else None
        self._archived: AsyncGenerator[list[RawEntry]] | None = None
        self._manifest = ArchiveManifest(namespace=log.keys.namespace, partition=partition)

    async def step(self, end: EntryId = END, count: int = READ_COUNT) -> list[RawEntry]:
        """Return the next entries up to *end*, inclusive; a step may find none.

        Raises:
            TrimmedError: The next ones are gone for good, and there is no *on_gap*.
            ArchiveError: The archive is needed, and cannot be read or is damaged.
        """
        self.is_at_end = False
        if self._archived is not None:
            return await self._step_in_archive(self._archived, end)
        if self.position >= END:
            self.is_at_end = True
            return []
        start = self.position.after()
        count = min(count, self._size.count)
        chunk = await read_chunk(self._log, self.partition, start, end, count)
        if self._known is None and chunk.last <= self.position:
            self._known = chunk.added
        if not (chunk.added and chunk.reaches(start, self._known)):
            await self._read_manifest()
            if self._manifest.end >= start:
                self._archived = self._in_archive(start, end)
                return []
            self._report_missing(chunk)
            self._known = chunk.removed
        self._take(chunk)
        self._size.note(chunk.entries)
        self.is_at_end = len(chunk.entries) < count
        return chunk.entries

    async def look_before(self, chunk: PartitionChunk) -> ArchiveManifest:
        """Return the manifest; report what is missing between its end and the stream in *chunk*."""
        await self._read_manifest()
        if chunk.first is None or chunk.first > self._manifest.end:
            self._known = None
            self._report_missing(chunk)
        return self._manifest

    async def _step_in_archive(
        self, archived: AsyncGenerator[list[RawEntry]], end: EntryId
    ) -> list[RawEntry]:
        # After a failure reading restarts at the position: a failed generator looks exhausted.
        self._archived = None
        nothing: list[RawEntry] = []
        entries = await anext(archived, nothing)
        if entries:
            self._archived = archived
            self.position, self._known = EntryId.parse(entries[-1][0]), None
        elif self._manifest.end >= end:
            self.is_at_end = True
        else:
            self.position, self._known = self._manifest.end, self._manifest.added
        return entries

    async def _read_manifest(self) -> None:
        """Read the current manifest: the archive may have grown while the stream shrank."""
        if self._archive is not None:
            self._manifest = await manifest_of(self._log, self._archive, self.partition)

    async def _in_archive(self, start: EntryId, end: EntryId) -> AsyncGenerator[list[RawEntry]]:
        if self._archive is None:  # never so: without an archive the manifest is empty
            return
        for gap in self._manifest.gaps:
            if EntryId.parse(gap.after) < end and EntryId.parse(gap.until) > start:
                self._report(gap_error(self.partition, gap), accepted=True)
        rescue = None if self._archive.on_damage is None else partial(self._rescued, end)
        async for chunk in self._archive.read(self._manifest, start, end, rescue):
            yield chunk

    async def _rescued(
        self, end: EntryId, segment: Segment, error: DamagedArchiveError
    ) -> AsyncGenerator[list[RawEntry]]:
        """Yield the entries of a damaged segment that the stream still has; report the others."""
        count, last = 0, min(segment.last_id, end)
        start = max(segment.first_id, self.position.after())
        while entries := (await read_chunk(self._log, self.partition, start, last)).entries:
            yield entries
            count += len(entries)
            start = EntryId.parse(entries[-1][0]).after()
        if self._archive is not None and self._archive.on_damage is not None:
            self._archive.on_damage(
                DamagedArchiveError(
                    f"partition {self.partition}: {segment.count} entries from {segment.first} to"
                    f" {segment.last} are left out, but for {count} that the stream still has:"
                    f" {error}"
                )
            )

    def _report_missing(self, chunk: PartitionChunk) -> None:
        """Compare how many entries were ever removed with how many were read or are archived."""
        missing = chunk.removed - max(self._known or 0, self._manifest.added)
        if missing > 0:
            after = self._manifest.end if self._known is None else self.position
            self._report(TrimmedError(self.partition, after, chunk.first, missing), accepted=False)

    def _report(self, error: TrimmedError, *, accepted: bool) -> None:
        if self._on_gap is not None:
            self._on_gap(error)
        elif accepted:
            _log.warning("history_has_accepted_gap", error=str(error))
        else:
            raise error

    def _take(self, chunk: PartitionChunk) -> None:
        if self._known is None and (chunk.first is None or chunk.first > self.position):
            self._known = chunk.removed
        if chunk.entries:
            self.position = EntryId.parse(chunk.entries[-1][0])
            if self._known is not None:
                self._known += len(chunk.entries)
            elif self.position == chunk.last:
                self._known = chunk.added


async def manifest_of(log: EventLog, archive: Archive, partition: int) -> ArchiveManifest:
    """Return the archive's manifest; one without parts where it is of another log.

    What another log had is no part of this one's history.
    """
    manifest = (await archive.state(partition)).manifest
    identity = await read_identity(log.server.client, log.keys, partition)
    if not manifest.identity or identity in {None, manifest.identity}:
        return manifest
    _log.warning("archive_of_another_log", archived=manifest.identity, log=identity)
    return ArchiveManifest(namespace=log.keys.namespace, partition=partition)


def gap_error(partition: int, gap: Gap) -> TrimmedError:
    """Return the error that reports an accepted gap to a reader."""
    return TrimmedError(partition, EntryId.parse(gap.after), EntryId.parse(gap.until), gap.count)
