"""Give the replies of Redis their types.

redis-py declares no type for any reply. `Client.call` returns each as an object, which is of no use
until one of these functions has checked it.
"""

import re
from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

import msgspec

from events.entry.entry_line import RawEntry
from events.errors import DamagedValueError, UnexpectedReplyError

_DIGITS_MAX = 19
_ESCAPED_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")
_SHOWN_BYTES = 60

T = TypeVar("T")


class Ask(Protocol):
    """Sends one command and returns the reply; None if the server refused, or has nothing."""

    def __call__(self, *command: object) -> Awaitable[object]:
        """Send *command*."""


def reply(raw: object, kind: type[T]) -> T:
    """Return *raw* as a *kind*.

    Raises:
        UnexpectedReplyError: It is something else.
    """
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise _unexpected(str(error)) from error


def reply_or_none(raw: object, kind: type[T]) -> T | None:
    """Return *raw* as a *kind*, None if the server has nothing."""
    return None if raw is None else reply(raw, kind)


def reply_entries(raw: object) -> Sequence[RawEntry]:
    """Return the entries of XRANGE, XREVRANGE or XCLAIM; none if there is no reply.

    There can be many, and their bytes are checked when they are decoded: here only the list is.
    """
    if raw is None:
        return ()
    if isinstance(raw, list):
        return raw
    raise _unexpected(f"a list was expected, not {type(raw).__name__}")


def reply_streams(raw: object) -> Sequence[tuple[bytes, Sequence[RawEntry]]]:
    """Return what XREAD or XREADGROUP found in each stream; nothing if it waited in vain."""
    return [(stream, reply_entries(entries)) for stream, entries in reply_entries(raw)]


def text(raw: bytes) -> str:
    """Return a name that another program may have chosen; bytes that are no text are escaped."""
    return raw.decode("utf-8", "backslashreplace")


def key_of_text(shown: str) -> str:
    """Return the key that `text` shows so; its bytes that are no text are sent as they are."""
    raw = _ESCAPED_BYTE.sub(lambda found: bytes.fromhex(found[1].decode()), shown.encode())
    return raw.decode("utf-8", "surrogateescape")


def whole_number(raw: bytes) -> int:
    """Return a stored count.

    Raises:
        DamagedValueError: It is not a whole number of at most 19 digits.
    """
    if not raw.isdigit() or len(raw) > _DIGITS_MAX:
        raise DamagedValueError(f"{text(raw[:_SHOWN_BYTES])!r} is not a whole number")
    return int(raw)


def _unexpected(problem: str) -> UnexpectedReplyError:
    return UnexpectedReplyError(
        f"a reply of the server has an unknown form: {problem}; see that it is Redis 7.0 or newer,"
        " or Valkey 8"
    )
