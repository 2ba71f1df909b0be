"""Read JSON that was stored: a value, or one typed error, whatever became of the bytes.

Redis, a disk or a stranger may return anything under a key that is ours: a decoder alone ends in a
different error for each kind of damage, and one that is forgotten ends a process.
"""

import re
from typing import Any, Generic, TypeVar

import msgspec

from events.errors import DamagedValueError

BYTES_MAX = 67_108_864
"""Bytes of one stored value; the largest that is ever written has a quarter of that."""

DEPTH_MAX = 64
"""Nested lists and objects of a value of which the form is not known."""

UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
"""What a msgspec decoder raises for bytes that it cannot read."""

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)

T = TypeVar("T")


class StoredJson(Generic[T]):
    """Reads stored values of one type."""

    def __init__(self, kind: type[T], bytes_max: int = BYTES_MAX) -> None:
        self._decode = msgspec.json.Decoder(kind).decode
        self._bytes_max = bytes_max

    def __call__(self, raw: bytes) -> T:
        """Return the value.

        Raises:
            DamagedValueError: It is too large, or not JSON of this type.
        """
        check_size(raw, self._bytes_max)
        try:
            return self._decode(raw)
        except UNREADABLE as error:
            raise DamagedValueError(problem_of(error)) from None


def any_json(raw: bytes) -> Any:  # noqa: ANN401 - JSON of any form
    """Return a stored value of any form, nested no deeper than `DEPTH_MAX`.

    Raises:
        DamagedValueError: It is too large, nested deeper, or not JSON.
    """
    check_size(raw, BYTES_MAX)
    if _is_deep(raw):
        raise DamagedValueError(f"it is nested deeper than {DEPTH_MAX} levels")
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE as error:
        raise DamagedValueError(problem_of(error)) from None


def check_size(raw: bytes, bytes_max: int) -> None:
    """Raise DamagedValueError if *raw* has more than *bytes_max* bytes."""
    if len(raw) > bytes_max:
        raise DamagedValueError(f"it has {len(raw)} bytes, the limit is {bytes_max}")


def problem_of(error: Exception) -> str:
    """Return in a few words why bytes could not be read."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.object[error.start]:#04x} is no UTF-8"
    return str(error)


def _is_deep(raw: bytes) -> bool:
    if raw.count(b"[") + raw.count(b"{") <= DEPTH_MAX:
        return False
    depth = 0
    for found in _BRACKETS.finditer(raw):
        if found[0] in b"[{":
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif found[0] in b"]}":
            depth -= 1
    return False
