"""The window: what a log and its archive hold between two moments, read back from its end."""

from collections.abc import Callable, Sequence
from contextlib import aclosing

import msgspec

from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import TrimmedError
from events.history.history import History
from events.log.log import READ_COUNT
from events.merge import by_entry_id

WINDOW_ENTRIES_MAX = 100_000
"""Entries of a partition that are looked through: a long window is never all read by accident."""


class Window(msgspec.Struct, frozen=True):
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
    partitions: Sequence[int],
    between: tuple[EntryId, EntryId],
    wanted: Callable[[Entry], bool],
    most: int | None = None,
) -> Window:
    """Return what is *wanted* of *partitions* between two ids, both included.

    Of each partition the newest *most* entries (`WINDOW_ENTRIES_MAX` unless given) are looked
    through. The window begins no earlier than the newest gap, which is told.

    Raises:
        ArchiveError: The archive is needed, and cannot be read or is damaged.
    """
    search = wanted, most or WINDOW_ENTRIES_MAX
    parts = [await _part(history, partition, between, search) for partition in partitions]
    start = max((part.start for part in parts), default=between[0])
    found = by_entry_id(entry for part in parts for entry in part.entries)
    kept = [entry for entry in found if entry.entry_id >= start]
    return Window(
        start=start,
        is_whole=all(part.is_whole for part in parts),
        is_all=all(part.is_all for part in parts),
        entries=kept,
    )


async def _part(
    history: History,
    partition: int,
    between: tuple[EntryId, EntryId],
    search: tuple[Callable[[Entry], bool], int],
) -> Window:
    """Return what was found of one partition."""
    start, oldest = between
    wanted, left = search
    found: list[Entry] = []
    gaps: list[TrimmedError] = []
    source = History(history.log, history.archive, gaps.append)
    async with aclosing(source.chunks_back(partition, READ_COUNT)) as chunks:
        async for chunk in chunks:
            if gaps:
                break
            looked_at = [entry for entry in chunk if entry.entry_id <= between[1]][:left]
            inside = [entry for entry in looked_at if entry.entry_id >= start]
            found += filter(wanted, inside)
            if len(inside) < len(looked_at):
                return Window(start, is_whole=True, is_all=False, entries=found)
            left -= len(looked_at)
            oldest = looked_at[-1].entry_id if looked_at else oldest
            if left <= 0:
                return Window(oldest, is_whole=False, is_all=False, entries=found)
    if history.on_gap is not None:
        for gap in gaps:
            history.on_gap(gap)
    return Window(oldest, is_whole=True, is_all=not gaps, entries=found)
