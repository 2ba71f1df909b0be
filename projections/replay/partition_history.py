"""Read a partition's history from a position on, and find out which entries are missing."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

import msgspec

from events.entry.entry_id import END, START, EntryId
from events.entry.recorded import Entry, entries_of
from events.history.history import History
from events.log.log import EventLog
from events.log.positions import Positions
from events.log.read_size import ReadSize
from events.server.reply import reply_entries
from events.streams.stream_state import read_stream_state
from projections.errors import HistoryMissingError

SEGMENTS_MAX = 4
"""Archive segments that are unpacked at most to find entries; about half a second each."""

CHUNK = 1_000
"""Entries that are read at a time."""

TRIMMED = "trimmed"
"""Holder of the position up to which the stream was trimmed."""

RawEntry = tuple[bytes, Sequence[bytes]]
"""An entry as Redis returns it: its id, and field, value, field, value, ..."""

Source = EventLog | History
"""A log, alone or together with its archive."""


class PartitionExtent(msgspec.Struct, frozen=True):
    """How far back the history of a partition reaches.

    Attributes:
        first: The oldest entry that is left, None where there is none.
        last: The newest entry that was ever appended, `START` where none was.
        length: Entries that are left.
        added: Entries that were ever appended.
        deleted_until: The newest entry that is known to have been deleted; `START`: none is.
    """

    first: EntryId | None
    last: EntryId
    length: int
    added: int
    deleted_until: EntryId

    @property
    def removed(self) -> int:
        """The number of entries that were ever deleted."""
        return self.added - self.length

    def count_after(self, appended: int | None) -> int:
        """Return how many entries that are left come after the first *appended*; None: all."""
        if appended is None:
            return self.length
        return max(0, min(self.length, self.added - appended))

    def missing_until(self, after: EntryId, before: int | None) -> EntryId | None:
        """Return the entry up to which entries after *after* are missing, None where none are.

        *before* is how many entries were ever appended up to *after*, None where that is not known.
        It shows whether a trim of which no position was recorded went beyond *after*.
        """
        if self.deleted_until > after:
            return self.deleted_until
        gone = self.last if self.first is None else self.first.before()
        if not self.removed or gone <= after or (before is not None and self.removed <= before):
            return None
        return gone


async def extent_of(log: Source, partition: int) -> PartitionExtent:
    """Return how far back the history of *partition* reaches.

    With an archive it reaches back to the start: entries that neither has raise when they are read.

    Raises:
        WrongTypeError: The partition's key is not a stream.
    """
    client, stream = log.server.client, log.keys.events(partition)
    state = await read_stream_state(client.call, stream)
    if state is None:
        return PartitionExtent(None, START, 0, 0, START)
    if isinstance(log, History):
        return PartitionExtent(state.first, state.last, state.added, state.added, START)
    deleted = state.deleted or START
    trimmed = await Positions(log.server, log.keys, partition).of(TRIMMED)
    deleted = max(deleted, trimmed or START)
    return PartitionExtent(state.first, state.last, state.length, state.added, deleted)


def check_complete(
    partition: int, after: EntryId, extent: PartitionExtent, before: int | None = None
) -> None:
    """Raise HistoryMissingError where entries after *after* are missing (`missing_until`)."""
    if after == START:
        before = 0
    until = extent.missing_until(after, before)
    if until is None:
        return
    raise HistoryMissingError(
        f"partition {partition}: entries after {after} were deleted, up to {until} at most"
        f" ({extent.added} were ever appended, {extent.length} are left, the first is"
        f" {extent.first or 'none'}); a newer snapshot, or an archive of them, is needed"
    )


async def raw_entries(
    log: Source, partition: int, after: EntryId = START, until: EntryId = END
) -> AsyncGenerator[Sequence[RawEntry]]:
    """Yield the entries after *after* up to *until*, inclusive, in chunks.

    Raises:
        TrimmedError: The log is read with its archive, and neither has entries in between.
        ArchiveError: The archive is needed, and cannot be read or is damaged.
    """
    if after >= END:
        return
    if isinstance(log, History):
        async with aclosing(log.raw_chunks(partition, after.after(), until, CHUNK)) as chunks:
            async for chunk in chunks:
                yield chunk
        return
    call, stream, last = log.server.client.call, log.keys.events(partition), str(until)
    start, size = str(after.after()), ReadSize(CHUNK)
    while True:
        count = size.count
        raw = reply_entries(await call("XRANGE", stream, start, last, "COUNT", count))
        if raw:
            yield raw
        if len(raw) < count:
            return
        size.note(raw)
        start = f"({raw[-1][0].decode()}"


async def find_entry(log: Source, partition: int, entry_id: EntryId) -> Entry | None:
    """Return the entry with that id, None where there is none or it was deleted."""
    return (await find_entries(log, partition, [entry_id])).get(entry_id)


async def find_entries(
    log: Source, partition: int, entry_ids: Iterable[EntryId]
) -> dict[EntryId, Entry]:
    """Return the entries with those ids, of those in the log or in a few segments of its archive.

    Without the limit, an old state with many ids would take minutes: longer than a caller waits.
    """
    wanted = {entry_id for entry_id in entry_ids if entry_id > START}
    if isinstance(log, History):
        return await log.find_all(partition, wanted, SEGMENTS_MAX)
    call, stream = log.server.client.call, log.keys.events(partition)
    raw = [
        entry
        for entry_id in wanted
        for entry in reply_entries(await call("XRANGE", stream, str(entry_id), str(entry_id)))
    ]
    return {entry.entry_id: entry for entry in entries_of(raw, partition)}
