"""Read archive and stream of a log as one history, without a gap or a duplicate between them."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager

from events.archive.archive import Archive, open_archive
from events.archive.manifest import ArchiveManifest
from events.archive.settings import ArchiveSettings
from events.entry.entry_id import END, START, EntryId
from events.entry.entry_line import RawEntry
from events.entry.recorded import Entry, entries_of
from events.history.cursor import Note, PartitionCursor, manifest_of
from events.log.keys import NAMESPACE, Keys
from events.log.log import EventLog
from events.log.log_to_read import log_to_read
from events.log.partition_chunk import PartitionChunk, read_chunk, read_chunk_back
from events.log.protocol import READ_COUNT, Cursor, ReadableLog, cursors_of
from events.log.reading import follow
from events.server.server import Server
from events.server.settings import ServerSettings


class History(ReadableLog):
    """All that a log ever held: what Redis still has, and before that what the archive has.

    Each read asks in one step for entries and for how far back the stream reaches, so a concurrent
    trim is noticed: trimmed entries are read from the archive. Entries that neither has are never
    skipped silently: *on_gap* is called with a TrimmedError, and reading continues after them;
    without *on_gap* that error is raised. A gap that was accepted when it was archived raises
    nothing.

    Redis's count of entries ever appended shows what is missing. If an entry was deleted from the
    middle of the stream, the count cannot show where, but the entry is reported all the same.
    """

    def __init__(
        self, log: EventLog, archive: Archive | None = None, on_gap: Note | None = None
    ) -> None:
        self.log = log
        self.partitions = log.partitions
        self.archive = archive
        self.on_gap = on_gap

    @property
    def keys(self) -> Keys:
        """The names of the log's keys."""
        return self.log.keys

    @property
    def server(self) -> Server:
        """The server that the log lies on."""
        return self.log.server

    async def head(self, partition: int) -> EntryId:
        """Return the newest id that the partition ever had, `START` for none."""
        last = (await read_chunk(self.log, partition, END, END, 1)).last
        if last == START and self.archive is not None:
            return (await manifest_of(self.log, self.archive, partition)).end
        return last

    async def raw_chunks(
        self, partition: int, start: EntryId = START, end: EntryId = END, count: int = READ_COUNT
    ) -> AsyncGenerator[list[RawEntry]]:
        """Yield the raw entries from *start* to *end*, both included, in chunks of up to *count*.

        Raises:
            TrimmedError: Entries of the range are gone for good, and there is no *on_gap*.
            ArchiveError: The archive is needed, and cannot be read or is damaged.
        """
        reading = PartitionCursor(self.log, self.archive, self.on_gap, partition, start.before())
        while not reading.is_at_end:
            chunk = await reading.step(end, count)
            if chunk:
                yield chunk

    async def read_entries(
        self, partition: int, start: EntryId = START, end: EntryId = END, count: int = READ_COUNT
    ) -> AsyncGenerator[list[Entry]]:
        """Yield the entries as `EventLog.read_entries` does; it raises what `raw_chunks` does."""
        async with aclosing(self.raw_chunks(partition, start, end, count)) as chunks:
            async for chunk in chunks:
                yield entries_of(chunk, partition)

    async def raw_chunks_back(
        self, partition: int, start: EntryId = START, end: EntryId = END, count: int = READ_COUNT
    ) -> AsyncGenerator[list[RawEntry]]:
        """Yield the raw entries from *end* back to *start*, both included, the newest first.

        The first chunk has up to *count*, the following ones up to `READ_COUNT`. See `raw_chunks`
        for what it raises.
        """
        while True:
            chunk = await read_chunk_back(self.log, partition, start, end, count)
            if chunk.entries:
                yield chunk.entries
                end = EntryId.parse(chunk.entries[-1][0]).before()
            if len(chunk.entries) < count:
                break
            count = READ_COUNT
        if not (chunk.added and chunk.reaches(start, None)):
            manifest = await self._before_stream(partition, chunk)
            async with aclosing(self._archived_back(manifest, start, end)) as archived:
                async for entries in archived:
                    yield entries

    async def read_entries_back(
        self, partition: int, start: EntryId = START, end: EntryId = END, count: int = READ_COUNT
    ) -> AsyncGenerator[list[Entry]]:
        """Yield the entries as `raw_chunks_back` does."""
        async with aclosing(self.raw_chunks_back(partition, start, end, count)) as chunks:
            async for chunk in chunks:
                yield entries_of(chunk, partition)

    async def _before_stream(self, partition: int, chunk: PartitionChunk) -> ArchiveManifest:
        """Return the manifest, and report what is missing between its end and the stream."""
        reading = PartitionCursor(self.log, self.archive, self.on_gap, partition)
        return await reading.look_before(chunk)

    async def _archived_back(
        self, manifest: ArchiveManifest, start: EntryId, end: EntryId
    ) -> AsyncGenerator[list[RawEntry]]:
        for segment in reversed(manifest.segments):
            first, last = max(segment.first_id, start), min(segment.last_id, end)
            if self.archive is None or first > last:
                continue
            kept = [chunk async for chunk in self.archive.read(manifest, first, last)]
            for entries in reversed(kept):
                yield entries[::-1]

    async def find(self, partition: int, entry_id: EntryId) -> Entry | None:
        """Return the entry with that id, None if there is none."""
        return (await self.find_all(partition, [entry_id], 1)).get(entry_id)

    async def find_all(
        self, partition: int, entry_ids: Iterable[EntryId], segments_max: int
    ) -> dict[EntryId, Entry]:
        """Return the entries with those ids, as far as there are any.

        Of the archive only the newest *segments_max* segments that can hold any of them are read,
        each once: a segment is always unpacked as a whole.
        """
        found, missing = list[RawEntry](), list[EntryId]()
        for entry_id in sorted(set(entry_ids), reverse=True):
            chunk = await read_chunk(self.log, partition, entry_id, entry_id, 1)
            found += chunk.entries
            if not chunk.entries:
                missing.append(entry_id)
        if missing and self.archive is not None:
            manifest = await manifest_of(self.log, self.archive, partition)
            for segment in reversed(manifest.segments):
                first, last = segment.first_id, segment.last_id
                wanted = {entry_id for entry_id in missing if first <= entry_id <= last}
                if not wanted:
                    continue
                if not segments_max:
                    break
                segments_max -= 1
                async for entries in self.archive.read(manifest, min(wanted), max(wanted)):
                    found += (raw for raw in entries if EntryId.parse(raw[0]) in wanted)
        return {entry.entry_id: entry for entry in entries_of(found, partition)}

    async def follow_entries(self, cursor: Cursor = END) -> AsyncGenerator[Entry]:
        """Yield every raw entry after *cursor*, for ever, waiting for those to come.

        A follower that was away for so long, or is so slow, that the stream was trimmed beyond its
        position continues in the archive; see `raw_chunks` for what it raises if entries are
        missing there, too.
        """
        readings = [
            PartitionCursor(self.log, self.archive, self.on_gap, partition, position)
            for partition, position in (await cursors_of(self, cursor)).items()
        ]
        async with aclosing(follow(self.server, self.keys, readings)) as entries:
            async for entry in entries:
                yield entry


@asynccontextmanager
async def open_history(
    log: EventLog | str | ServerSettings,
    archive: str | ArchiveSettings | None = None,
    *,
    namespace: str = NAMESPACE,
    partitions: int | None = None,
    on_gap: Note | None = None,
) -> AsyncIterator[History]:
    """Open a log to read it together with its archive; nothing is written.

    Args:
        log: The server's URL, or its settings, or an open log, which stays open.
        archive: The archive's location, or its settings; None: there is none.
        namespace: The log's namespace on the server.
        partitions: How many the log must have been created with; None: as many as it has.
        on_gap: Called with entries that neither stream nor archive has; None: reading raises
            TrimmedError.

    Raises:
        LayoutError: The log has another number of partitions, or does not exist.
        ServerUnavailableError: The server cannot be reached.
        ServerRefusedError: The server is too old, or refuses access.
        ArchiveError: The archive's location cannot be opened.
        ValueError: *log* is not the URL of a Redis server, or *archive* is not a location.
    """
    settings = archive if isinstance(archive, ArchiveSettings) else ArchiveSettings(archive)
    async with log_to_read(log, namespace=namespace, partitions=partitions) as opened:
        yield History(opened, open_archive(settings, opened.keys.namespace), on_gap)
