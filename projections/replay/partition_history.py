"""What a partition held, read from a position on, and what is missing of it."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

import msgspec

from events.entry.entry_id import END, START, EntryId
from events.entry.recorded import Entry, entries_of
from events.history.history import History
from events.log.log import EventLog
from events.server.reply import reply_entries, reply_or_none
from events.streams.stream_state import read_stream_state
from projections.errors import HistoryMissingError

SEGMENTS_MAX = 4
"""Segments of the archive that are unpacked to name events; half a second each, about."""

CHUNK = 1_000
"""Entries that are read at a time."""

TRIMMED = "trimmed"
"""Holder of the position up to which the stream was trimmed."""

RawEntry = tuple[bytes, Sequence[bytes]]
"""An entry as Redis tells it: its id, and field, value, field, value, ..."""

Source = EventLog | History
"""A log read by itself, or together with its archive."""


class PartitionExtent(msgspec.Struct, frozen=True):
    """How far the past of a partition reaches.

    Attributes:
        first: The oldest entry that is left, None where there is none.
        last: The newest entry that was ever appended, `START` where none was.
        length: Entries that are left.
        added: Entries that were ever appended.
        deleted_until: The newest entry that is known to have been taken away; `START`: none is.
    """

    first: EntryId | None
    last: EntryId
    length: int
    added: int
    deleted_until: EntryId

    @property
    def removed(self) -> int:
        """How many entries were ever taken away."""
        return self.added - self.length

    def count_after(self, appended: int | None) -> int:
        """Return how many of the entries come after the first *appended* ones; None: all."""
        if appended is None:
            return self.length
        return max(0, min(self.length, self.added - appended))

    def missing_until(self, after: EntryId, before: int | None) -> EntryId | None:
        """Return up to where entries behind *after* are missing, None where none is.

        *before*: how many entries were ever appended up to *after*, None where nobody knows. It
        tells of a trim that nobody wrote down whether it went further than that.
        """
        if self.deleted_until > after:
            return self.deleted_until
        gone = self.last if self.first is None else self.first.before()
        if not self.removed or gone <= after or (before is not None and self.removed <= before):
            return None
        return gone


async def extent_of(log: Source, partition: int) -> PartitionExtent:
    """Ask how far the past of *partition* reaches.

    Together with an archive it reaches to the start: what neither has raises when it is read.

    Raises:
        WrongTypeError: Something else than a stream lies in its place.
    """
    client, stream = log.server.client, log.keys.events(partition)
    state = await read_stream_state(client.call, stream)
    if state is None:
        return PartitionExtent(None, START, 0, 0, START)
    if isinstance(log, History):
        return PartitionExtent(state.first, state.last, state.added, state.added, START)
    deleted = state.deleted or START
    raw = await client.call("HGET", log.keys.positions(partition), TRIMMED)
    trimmed = reply_or_none(raw, bytes)
    if trimmed is not None:
        deleted = max(deleted, EntryId.parse(trimmed))
    return PartitionExtent(state.first, state.last, state.length, state.added, deleted)


def check_complete(
    partition: int, after: EntryId, extent: PartitionExtent, before: int | None = None
) -> None:
    """Raise HistoryMissingError where entries behind *after* are gone (`missing_until`)."""
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
    """Yield the entries behind *after* up to *until*, which is included, in chunks.

    Raises:
        TrimmedError: The log is read with its archive, and neither has entries in between.
        ArchiveError: The archive is needed, and cannot be read or is damaged.
    """
    if isinstance(log, History):
        async with aclosing(log.raw_chunks(partition, after.after(), until, CHUNK)) as chunks:
            async for chunk in chunks:
                yield chunk
        return
    call, stream, last = log.server.client.call, log.keys.events(partition), str(until)
    start = str(after.after())
    while True:
        raw = reply_entries(await call("XRANGE", stream, start, last, "COUNT", CHUNK))
        if raw:
            yield raw
        if len(raw) < CHUNK:
            return
        start = f"({raw[-1][0].decode()}"


async def find_entry(log: Source, partition: int, entry_id: EntryId) -> Entry | None:
    """Return the entry with that id, None where there is none (any more)."""
    return (await find_entries(log, partition, [entry_id])).get(entry_id)


async def find_entries(
    log: Source, partition: int, entry_ids: Iterable[EntryId]
) -> dict[EntryId, Entry]:
    """Return the entries with those ids, as far as they are in the log, or not deep in its archive.

    Reading all that an old state names would take minutes, after which nobody waits for it.
    """
    wanted = {one for one in entry_ids if one > START}
    if isinstance(log, History):
        return await log.find_all(partition, wanted, SEGMENTS_MAX)
    call, stream = log.server.client.call, log.keys.events(partition)
    raw = [
        entry
        for one in wanted
        for entry in reply_entries(await call("XRANGE", stream, str(one), str(one)))
    ]
    return {one.entry_id: one for one in entries_of(raw, partition)}
