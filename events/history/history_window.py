"""What a log and its archive hold between two moments, read back from its end."""

from collections.abc import Callable
from contextlib import aclosing

import msgspec

from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import TrimmedError
from events.history.history import History

WINDOW_ENTRIES_MAX = 100_000
"""Entries of a partition that are looked through: a long window is never all read by accident."""


class HistoryWindow(msgspec.Struct, frozen=True):
    """The entries of a window that were wanted, oldest first.

    Attributes:
        start: From here on all was looked at; later than was asked for where there is nothing
            before it, or too much.
        is_whole: Whether all that there is was looked at; there was too much otherwise.
        is_all: Whether nothing was ever appended before *start*.
        entries: What was found.
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

    The newest *most* entries (`WINDOW_ENTRIES_MAX` unless given) are looked through. The window
    begins no earlier than the newest gap, which is told.

    Raises:
        ArchiveError: The archive is needed, and cannot be read or is damaged.
    """
    start, oldest = between
    left = most or WINDOW_ENTRIES_MAX
    found: list[Entry] = []
    gaps: list[TrimmedError] = []
    source = History(history.log, history.archive, gaps.append)
    async with aclosing(source.read_entries_back(partition, end=between[1])) as chunks:
        async for chunk in chunks:
            if gaps:
                break
            looked_at = chunk[:left]
            inside = [entry for entry in looked_at if entry.entry_id >= start]
            found += filter(wanted, inside)
            if len(inside) < len(looked_at):
                return HistoryWindow(start, is_whole=True, is_all=False, entries=found[::-1])
            left -= len(looked_at)
            oldest = looked_at[-1].entry_id
            if left <= 0:
                return HistoryWindow(oldest, is_whole=False, is_all=False, entries=found[::-1])
    if history.on_gap is not None:
        for gap in gaps:
            history.on_gap(gap)
    return HistoryWindow(oldest, is_whole=True, is_all=not gaps, entries=found[::-1])
