"""Parse positions, in the one grammar with which a person names a point of the log."""

import re
from datetime import UTC, datetime, timedelta

from events.entry.entry_id import END, START, EntryId
from events.errors import InvalidPositionError

_ENTRY_ID = re.compile(r"\d+-\d+\Z", re.ASCII)
_SPAN = re.compile(r"-(?:\d{1,12}[smhd] ?)+(?<! )\Z", re.ASCII)
_PART = re.compile(r"(\d+)([smhd])", re.ASCII)
_SPAN_CHARACTERS_MAX = 80
_ZONE = re.compile(r" (?:UTC|([+-]\d\d):?(\d\d))\Z", re.ASCII)
_MS_MAX = 253_402_300_799_999
"""The calendar's last millisecond; an entry id made by hand can lie beyond it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_position(text: str, now: datetime) -> EntryId:
    """Read `start`, `end`, an entry id, an RFC 3339 time with a zone, or a span such as `-2h`.

    A time stands for the first entry that could have been appended at it; a span counts back
    from *now*. What commands print is read, too: `2026-01-31 22:00:00 UTC`, `-1h 30m`.

    Raises:
        InvalidPositionError: *text* is none of these.
    """
    if text == "start":
        return START
    if text == "end":
        return END
    if _ENTRY_ID.match(text):
        return EntryId.parse(text)
    if (span_ms := _span_ms(text)) is not None:
        return EntryId(max(0, _ms(now) - span_ms), 0)
    try:
        time = datetime.fromisoformat(_ZONE.sub(_zone, text))
    except ValueError:
        raise InvalidPositionError(
            text,
            "expected start, end, an entry id <ms>-<seq>, a time like 2026-01-31T22:00:00Z,"
            " or a span like -2h",
        ) from None
    if time.tzinfo is None:
        raise InvalidPositionError(text, "a time needs its zone, such as Z or +09:00")
    return EntryId(max(0, _ms(time)), 0)


def _zone(printed: re.Match[str]) -> str:
    """Return the zone of a printed time as RFC 3339 writes it."""
    return f"{printed[1]}:{printed[2]}" if printed[1] else "Z"


def parse_span(text: str) -> float:
    """Read a span of time such as `90s`, `15m`, `12h`, `7d` or `1h 30m`, in seconds.

    Raises:
        InvalidPositionError: *text* is not such a span.
    """
    span_ms = _span_ms(f"-{text}")
    if span_ms is None:
        raise InvalidPositionError(text, "expected a span such as 90s, 15m, 12h or 7d")
    return span_ms / 1_000


def _span_ms(text: str) -> int | None:
    """Return the milliseconds of a span such as `-2h` or `-1h 30m`, None where it is none."""
    if len(text) > _SPAN_CHARACTERS_MAX or not _SPAN.match(text):
        return None
    return sum(int(count) * _UNIT_MS[unit] for count, unit in _PART.findall(text))


def parse_range(text: str, now: datetime) -> tuple[EntryId, EntryId]:
    """Read `A..B`, in which either position may be missing, as the first and the last id.

    Both ids are included; one position alone means everything from there on.

    Raises:
        InvalidPositionError: One of them is no position, or the end lies before the start.
    """
    first, _, last = text.partition("..")
    return parse_between(first or None, last or None, now)


def parse_between(first: str | None, last: str | None, now: datetime) -> tuple[EntryId, EntryId]:
    """Read two positions, None for the log's start or end, as the first and the last id.

    Raises:
        InvalidPositionError: One of them is no position, or the end lies before the start.
    """
    start = START if first is None else parse_position(first, now)
    end = END if last is None else parse_position(last, now)
    if end < start:
        raise InvalidPositionError(
            f"{first or ''}..{last or ''}", f"it ends at {end}, before it starts at {start}"
        )
    return start, end


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


def time_of(entry_id: EntryId) -> datetime:
    """Return the server's time at which the entry was appended, in UTC."""
    return _EPOCH + timedelta(milliseconds=min(entry_id.ms, _MS_MAX))
