"""Read what a log and its archive hold between two ids, from the end back."""

from collections.abc import Callable
from contextlib import aclosing

import msgspec

from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import TrimmedError
from events.history.history import History

WINDOW_ENTRIES_MAX = 100_000
"""Entries of a partition that are searched at most: a long window is not all read by accident."""


class HistoryWindow(msgspec.Struct, frozen=True):
    """The wanted entries of a window, oldest first.

    Attributes:
        start: The id from which on all entries were searched; later than requested if there is
            nothing before it, or too much.
        is_whole: Whether all entries of the window were searched; if not, there were too many.
        is_all: Whether nothing was ever appended before *start*.
        entries: The wanted entries.
    """

    start: EntryId
    is_whole: bool
    is_all: bool
    entries: list[Entry]


async def read_window(
    history: History,
    partition: int,
    between: tuple[EntryId, EntryId],
    wanted: Callable[[Entry], bool],
    most: int | None = None,
) -> HistoryWindow:
    """Return what is *wanted* of *partition* between two ids, both included.

    The newest *most* entries (`WINDOW_ENTRIES_MAX` unless given) are searched. The window begins no
    earlier than the newest gap, which is reported to the `on_gap` of *history*.

    Raises:
        ArchiveError: The archive is needed, and cannot be read or is damaged.
    """
    start, oldest = between
    remaining = most or WINDOW_ENTRIES_MAX
    found: list[Entry] = []
    gaps: list[TrimmedError] = []
    source = History(history.log, history.archive, gaps.append)
    async with aclosing(source.read_entries_back(partition, end=between[1])) as chunks:
        async for chunk in chunks:
            if gaps:
                break
            searched = chunk[:remaining]
            inside = [entry for entry in searched if entry.entry_id >= start]
            found += filter(wanted, inside)
            if len(inside) < len(searched):
                return HistoryWindow(start, is_whole=True, is_all=False, entries=found[::-1])
            remaining -= len(searched)
            oldest = searched[-1].entry_id
            if remaining <= 0:
                return HistoryWindow(oldest, is_whole=False, is_all=False, entries=found[::-1])
    if history.on_gap is not None:
        for gap in gaps:
            history.on_gap(gap)
    return HistoryWindow(oldest, is_whole=True, is_all=not gaps, entries=found[::-1])
