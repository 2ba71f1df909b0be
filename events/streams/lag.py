"""Counts the entries of a stream that a group was not yet given."""

import msgspec

from events.entry.entry_id import EntryId
from events.log.protocol import READ_COUNT
from events.server.reply import Ask, reply_entries
from events.streams.stream_state import StreamState


class Lag(msgspec.Struct, frozen=True):
    """How many entries a group was not yet given.

    Attributes:
        exact: Their number, None if there are more than were counted.
        least: There are at least so many.
        most: There are at most so many, as the server counts; None if it has lost count.
    """

    exact: int | None
    least: int
    most: int | None


async def count_lag(
    ask: Ask, stream: StreamState, after: EntryId, reported: int | None, *, counted_max: int
) -> Lag:
    """Count the entries of *stream* after the entry *after*, the last that the group was given.

    *reported* is the server's own number. If it leaves a doubt, up to *counted_max* entries are
    counted: from the group to the end, and if these are too many, from the beginning to the group.
    """
    known = stream.lag_after(after, reported)
    if known is not None:
        return Lag(known, known, known)
    least = await count_entries(ask, stream.key, f"({after}", "+", counted_max)
    if least < counted_max:
        return Lag(least, least, least)
    before = await count_entries(ask, stream.key, "-", str(after), counted_max)
    if before < counted_max:
        rest = max(least, stream.length - before)
        return Lag(rest, rest, rest)
    # The server's number is too large where entries were trimmed that the group had not read.
    return Lag(None, least, reported if stream.is_gapless else None)


async def count_entries(
    ask: Ask, stream: str | bytes, start: str, end: str, counted_max: int
) -> int:
    """Count the entries of *stream* from *start* to *end*, up to *counted_max*."""
    counted = 0
    while counted < counted_max:
        count = min(READ_COUNT, counted_max - counted)
        raw = reply_entries(await ask("XRANGE", stream, start, end, "COUNT", count))
        counted += len(raw)
        if len(raw) < count:
            break
        start = f"({raw[-1][0].decode()}"
    return counted
