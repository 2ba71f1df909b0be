"""Positions: the one grammar in which a person names a point of the log."""

import re
from datetime import UTC, datetime

from events.entry_id import END, START, EntryId
from events.errors import InvalidPositionError

_ENTRY_ID = re.compile(r"^\d+-\d+$")
_SPAN = re.compile(r"^-(\d+)([smhd])$")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_position(text: str, now: datetime) -> EntryId:
    """Read `start`, `end`, an entry id, an RFC 3339 time with a zone, or a span such as `-2h`.

    A time stands for the first entry that could have been appended at it; a span counts back
    from *now*.

    Raises:
        InvalidPositionError: It is none of these.
    """
    if text == "start":
        return START
    if text == "end":
        return END
    if _ENTRY_ID.match(text):
        return EntryId.parse(text)
    if span := _SPAN.match(text):
        return EntryId(max(0, _ms(now) - int(span[1]) * _UNIT_MS[span[2]]), 0)
    try:
        return _at(datetime.fromisoformat(text), text)
    except ValueError:
        raise InvalidPositionError(
            text,
            "expected start, end, an entry id <ms>-<seq>, a time like 2026-01-31T22:00:00Z,"
            " or a span like -2h",
        ) from None


def _at(time: datetime, text: str) -> EntryId:
    if time.tzinfo is None:
        raise InvalidPositionError(text, "a time needs its zone, such as Z or +09:00")
    return EntryId(max(0, _ms(time)), 0)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1_000)


def time_of(entry_id: EntryId) -> datetime:
    """Return the server's time at which the entry was appended, in UTC."""
    return datetime.fromtimestamp(entry_id.ms / 1_000, UTC)
