"""The window: what the log holds between two moments, read back from its end, never too far."""

from collections.abc import Callable, Sequence

import msgspec

from events.entry_id import EntryId
from events.log import READ_COUNT, EventLog, entries_of
from events.recorded import Entry

WINDOW_ENTRIES_MAX = 100_000
"""Entries of a partition that are looked through: a long window is never all read by accident."""


class Window(msgspec.Struct, frozen=True):
    """The entries of a window that were wanted, oldest first.

    Attributes:
        start: From here on all was looked at; later than was asked for where that was too much.
        end: Up to here.
        is_whole: Whether all that was asked for was looked at.
        entries: What was found.
    """

    start: EntryId
    end: EntryId
    is_whole: bool
    entries: list[Entry]


async def read_window(
    log: EventLog,
    partitions: Sequence[int],
    between: tuple[EntryId, EntryId],
    wanted: Callable[[Entry], bool],
    most: int | None = None,
) -> Window:
    """Return what is *wanted* of *partitions* between two ids, both included.

    Of each partition the newest *most* entries (`WINDOW_ENTRIES_MAX` unless given) are looked
    through, in whole reads of `READ_COUNT`.
    """
    first, end = between
    found: list[Entry] = []
    start = first
    for partition in partitions:
        entries, looked_to = await _back(
            log, partition, between, (wanted, most or WINDOW_ENTRIES_MAX)
        )
        found += entries
        start = max(start, looked_to)
    kept = [entry for entry in found if entry.entry_id >= start]
    kept.sort(key=lambda entry: (entry.entry_id, entry.partition))
    return Window(start=start, end=end, is_whole=start == first, entries=kept)


async def _back(
    log: EventLog,
    partition: int,
    between: tuple[EntryId, EntryId],
    search: tuple[Callable[[Entry], bool], int],
) -> tuple[list[Entry], EntryId]:
    """Return what was found of one partition, and back to where it was looked for."""
    start, end = between
    wanted, left = search
    found: list[Entry] = []
    before = str(end)
    while left > 0:
        raw = await log.server.client.call(
            "XREVRANGE", log.keys.events(partition), before, str(start), "COUNT", READ_COUNT
        )
        entries = entries_of(raw, partition)
        found += filter(wanted, entries)
        if len(entries) < READ_COUNT:
            return found, start
        left -= len(entries)
        oldest = entries[-1].entry_id
        before = f"({oldest}"
    return found, oldest
