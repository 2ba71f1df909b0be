"""The bar chart: numbers as bars that can be compared at a glance."""

import sys

_EIGHTHS = " ▏▎▍▌▋▊▉"
_WHOLE = "█"


def bar(value: int, most: int, width: int) -> str:
    """Return a bar for *value*, *width* characters long for *most*; never none for a value."""
    if value <= 0 or most <= 0:
        return ""
    if not _has_blocks():
        return "#" * max(1, round(width * value / most))
    whole, eighths = divmod(max(1, round(8 * width * value / most)), 8)
    return (_WHOLE * whole + _EIGHTHS[eighths]).rstrip()


def _has_blocks() -> bool:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        (_EIGHTHS + _WHOLE).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
