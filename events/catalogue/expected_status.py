"""The HTTP statuses that are a success: a code, a list, or ranges, as in `200-299,401`."""

import re
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

_CODE = r"[1-5][0-9]{2}"
_PART = rf"{_CODE}(-{_CODE})?"
_PATTERN = rf"^{_PART}(,{_PART})*\Z"

ExpectedStatus = Annotated[
    str,
    Meta(
        pattern=rf"{_PATTERN}(?#be codes from 100 to 599 or ranges, as 200-299,401)",
        max_length=256,
    ),
]


def status_text(given: object) -> object:
    """Return a number or a list of statuses as text, anything else as it is."""
    parts = given if isinstance(given, list | tuple) else [given]
    if all(isinstance(part, int | str) and not isinstance(part, bool) for part in parts):
        return ",".join(str(part).replace(" ", "") for part in parts)
    return given


@lru_cache(1_024)
def status_ranges(expected: str) -> tuple[range, ...]:
    """Return the statuses that *expected* names; none where it is no such text."""
    if not re.match(_PATTERN, expected):
        return ()
    parts = (part.partition("-") for part in expected.split(","))
    return tuple(range(int(first), int(last or first) + 1) for first, _, last in parts)


def backward_range(expected: str) -> str | None:
    """Return the first range in *expected* that ends before it begins, None where none does."""
    parts = zip(expected.split(","), status_ranges(expected), strict=False)
    return next((part for part, codes in parts if not codes), None)
