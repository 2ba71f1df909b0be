"""Write a raw entry as one line of JSON, and read it back without losing a byte.

`{"id":"<ms>-<seq>","fields":[name, value, ...]}`: the fields keep their order, and a name may occur
twice. A string that is not UTF-8 is written as `{"base64":"..."}`. A line of an export also has its
`partition` if that is not 0.
"""

from collections.abc import Sequence

import msgspec

from events.entry.entry_id import EntryId
from events.entry.stored_json import UNREADABLE
from events.errors import EventsError

RawEntry = tuple[bytes, Sequence[bytes]]
"""An entry as Redis returns it: its id, and field, value, field, value, ..."""


class EntryLineError(EventsError):
    """A line is not an entry."""


class _Base64Value(msgspec.Struct, frozen=True):
    base64: bytes


class _EntryLine(msgspec.Struct, omit_defaults=True, gc=False):
    id: str
    fields: list[str | _Base64Value]
    partition: int = 0


_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder(_EntryLine).decode


def line_of(entry: RawEntry, partition: int = 0) -> bytes:
    """Return the entry as a line, with its line feed."""
    entry_id, strings = entry
    fields: list[str | _Base64Value]
    try:
        fields = [string.decode() for string in strings]
    except UnicodeDecodeError:
        fields = [_printed(string) for string in strings]
    return _ENCODE(_EntryLine(entry_id.decode(), fields, partition)) + b"\n"


def _printed(raw: bytes) -> str | _Base64Value:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _Base64Value(raw)


def entry_of(line: bytes) -> tuple[int, EntryId, list[bytes]]:
    """Read a line as its partition, the entry's id and its fields; raise EntryLineError."""
    try:
        read = _DECODE(line)
        entry_id = EntryId.parse(read.id)
        strings = [item.encode() if isinstance(item, str) else item.base64 for item in read.fields]
    except (*UNREADABLE, EventsError) as error:
        raise EntryLineError(f"no entry: {error}") from None
    if len(strings) % 2:
        raise EntryLineError(
            f"entry {entry_id}: {len(strings)} strings are not pairs of name and value"
        )
    return read.partition, entry_id, strings
