"""Read the newest entries of a log, from its end back, or the entries from a position on."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import msgspec

from events.entry.entry_id import END, START, EntryId
from events.entry.recorded import Entry
from events.history.history import History
from events.log.merge import by_entry_id, merged
from events.log.protocol import READ_COUNT

SEARCHED_MAX = 50_000
"""Entries of a partition that are searched at most for wanted ones: a long log is not all read."""

Wanted = Callable[[Entry], bool]


class Tail(msgspec.Struct, frozen=True):
    """The newest wanted entries, oldest first, and where to continue.

    Attributes:
        entries: The entries.
        cursors: The newest entry of each partition that was searched: what follows is new.
        unsearched: The oldest entry that was searched, if `SEARCHED_MAX` ended the search.
    """

    entries: list[Entry]
    cursors: dict[int, EntryId]
    unsearched: EntryId | None = None


async def read_tail(
    log: History, partitions: Sequence[int], count: int, wanted: Wanted | None
) -> Tail:
    """Return the newest *count* entries of *partitions* that are *wanted*, by id."""
    tails = [await _tail_of(log, partition, count, wanted) for partition in partitions]
    found = by_entry_id(entry for tail in tails for entry in tail.entries)
    return Tail(
        entries=found[max(0, len(found) - count) :],
        cursors={p: at for tail in tails for p, at in tail.cursors.items()},
        unsearched=max((t.unsearched for t in tails if t.unsearched is not None), default=None),
    )


async def _tail_of(log: History, partition: int, count: int, wanted: Wanted | None) -> Tail:
    """Read back from the partition's end until *count* are found, or enough were searched."""
    found: list[Entry] = []
    newest = START
    remaining = SEARCHED_MAX if wanted else max(1, count)
    first_count = max(1, min(count, READ_COUNT))
    async with aclosing(log.read_entries_back(partition, count=first_count)) as chunks:
        async for entries in chunks:
            newest = max(newest, entries[0].entry_id)
            found += filter(wanted, entries) if wanted else entries
            remaining -= len(entries)
            if len(found) >= count:
                break
            if remaining <= 0:
                return Tail(found, {partition: newest}, entries[-1].entry_id)
    return Tail(found[:count], {partition: newest})


async def entries_from(
    log: History, partitions: Sequence[int], start: EntryId, end: EntryId = END
) -> AsyncGenerator[Entry]:
    """Yield the entries from *start* to *end*, at most to the present end of the log, by id."""
    ends = {partition: min(end, await log.head(partition)) for partition in partitions}
    sources = [log.read_entries(p, start, last) for p, last in ends.items() if start <= last]
    async with aclosing(merged(sources)) as entries:
        async for entry in entries:
            yield entry
