"""The headers that a probe sends, some of which are secrets."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from events.masks import MASK

HEADERS_MAX = 16
"""Headers that one health check may have."""

SHOWN = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "cache-control", "content-type"),
        *("origin", "referer", "user-agent", "x-forwarded-host", "x-forwarded-proto"),
    }
)
"""Headers whose values are shown; the value of any other may be a secret."""

_SET_BY_A_PROBE = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "upgrade"}
)

_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}\Z(?#have a name of 1 to 64 letters, digits or '-')"
_VALUE = r"^[!-~]([ -~]*[!-~])?\Z(?#have a value of printable ASCII without spaces around it)"

HeaderName = Annotated[str, Meta(pattern=_NAME)]
HeaderValue = Annotated[str, Meta(pattern=_VALUE, max_length=4_096)]
RequestHeaders = Annotated[dict[HeaderName, HeaderValue], Meta(max_length=HEADERS_MAX)]
"""Values by names. Names are compared without regard to case."""


def wrong_header(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first header that a health check may not set, and why; None where all may be."""
    known: set[str] = set()
    for name in headers:
        lowered = name.lower()
        if lowered in _SET_BY_A_PROBE:
            instead = "use host_header" if lowered == "host" else "leave it out"
            return name, f"the probe sets this header itself: {instead}"
        if lowered in known:
            return name, "it is given twice, the limit is once"
        known.add(lowered)
    return None


def masked(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers as they may be shown: with `***` for all values but those of `SHOWN`."""
    return {
        name: value if name.lower() in SHOWN else MASK for name, value in sorted(headers.items())
    }
