"""Say how long ago an entry was appended, by the clock that made its id."""

from datetime import datetime

from events.entry.entry_id import START, EntryId

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def age_of(entry_id: EntryId, now: datetime) -> str | None:
    """Return how long before *now* the entry was appended, None for `START`, which is no entry."""
    if entry_id <= START:
        return None
    return span(now.timestamp() - entry_id.ms / 1_000)


def span(seconds: float) -> str:
    """Return a span of time in its two largest units, such as `3m 20s`; never less than `0s`."""
    left = max(0, int(seconds))
    for place, (unit, size) in enumerate(_UNITS):
        if left >= size:
            whole, remainder = divmod(left, size)
            smaller = remainder // _UNITS[place + 1][1] if unit != "s" else 0
            return f"{whole}{unit} {smaller}{_UNITS[place + 1][0]}" if smaller else f"{whole}{unit}"
    return "0s"
