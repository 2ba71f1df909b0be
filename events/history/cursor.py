"""The reading: how far one partition has been read, over archive and stream."""

from collections.abc import AsyncGenerator, Callable
from functools import partial

from events.archive.archive import Archive
from events.archive.errors import DamagedArchiveError
from events.archive.manifest import ArchiveManifest, Gap
from events.archive.segment import Segment
from events.entry.entry_id import END, START, EntryId
from events.entry.entry_line import RawEntry
from events.errors import TrimmedError
from events.log.log import EventLog
from events.log.partition_chunk import PartitionChunk, read_chunk
from events.log.protocol import READ_COUNT
from events.log.reading import StreamReading
from events.structured_logger import structured_logger

Note = Callable[[TrimmedError], None]
"""Hears of what is missing, where reading goes on behind it."""

_log = structured_logger(__name__)


class PartitionCursor(StreamReading):
    """A position in a partition, over archive and stream, which every step moves on."""

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
        # How many entries were ever appended up to the position; None: nobody knows.
        self._known = 0 if position == START else None
        self._archived: AsyncGenerator[list[RawEntry]] | None = None
        self._manifest = ArchiveManifest(namespace=log.keys.namespace, partition=partition)

    async def step(self, end: EntryId = END, count: int = READ_COUNT) -> list[RawEntry]:
        """Return the next entries up to *end*, which is included; there may be none in a step.

        Raises:
            TrimmedError: The next ones are gone for good, and nobody is there to hear of it.
            ArchiveError: The archive is needed, and cannot be read or is damaged.
        """
        self.is_at_end = False
        if self._archived is not None:
            return await self._step_in_archive(self._archived, end)
        start = self.position.after()
        chunk = await read_chunk(self._log, self.partition, start, end, count)
        if self._known is None and chunk.last <= self.position:
            self._known = chunk.added
        if not (chunk.added and chunk.reaches(start, self._known)):
            await self._look_into_archive()
            if self._manifest.end >= start:
                self._archived = self._in_archive(start, end)
                return []
            self._tell_of_missing(chunk)
            self._known = chunk.removed
        self._take(chunk)
        self.is_at_end = len(chunk.entries) < count
        return chunk.entries

    async def look_before(self, chunk: PartitionChunk) -> ArchiveManifest:
        """Return what is archived; tell what is missing between it and the stream in *chunk*."""
        await self._look_into_archive()
        if chunk.first is None or chunk.first > self._manifest.end:
            self._known = None
            self._tell_of_missing(chunk)
        return self._manifest

    async def _step_in_archive(
        self, archived: AsyncGenerator[list[RawEntry]], end: EntryId
    ) -> list[RawEntry]:
        # What fails is begun anew from the position: a generator that failed would seem read.
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

    async def _look_into_archive(self) -> None:
        """Read the manifest as it is now: the archive may have grown while the stream shrank."""
        if self._archive is not None:
            self._manifest = (await self._archive.state(self.partition)).manifest

    async def _in_archive(self, start: EntryId, end: EntryId) -> AsyncGenerator[list[RawEntry]]:
        if self._archive is None:  # then the manifest is an empty one, and nobody comes here
            return
        for gap in self._manifest.gaps:
            if EntryId.parse(gap.after) < end and EntryId.parse(gap.until) > start:
                self._tell(gap_error(self.partition, gap), accepted=True)
        rescue = None if self._archive.on_damage is None else partial(self._rescued, end)
        async for chunk in self._archive.read(self._manifest, start, end, rescue):
            yield chunk

    async def _rescued(
        self, end: EntryId, segment: Segment, error: DamagedArchiveError
    ) -> AsyncGenerator[list[RawEntry]]:
        """Yield what the stream still has of a damaged segment, and tell of the rest."""
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

    def _tell_of_missing(self, chunk: PartitionChunk) -> None:
        """Compare what was ever removed with what was read, or is archived before the position."""
        missing = chunk.removed - max(self._known or 0, self._manifest.added)
        if missing > 0:
            after = self._manifest.end if self._known is None else self.position
            self._tell(TrimmedError(self.partition, after, chunk.first, missing), accepted=False)

    def _tell(self, error: TrimmedError, *, accepted: bool) -> None:
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


def gap_error(partition: int, gap: Gap) -> TrimmedError:
    """Return what a reader is told of a gap that was accepted."""
    return TrimmedError(partition, EntryId.parse(gap.after), EntryId.parse(gap.until), gap.count)
