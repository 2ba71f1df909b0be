"""The entry line: a raw entry as one line of JSON, and back without a byte lost.

`{"id":"<ms>-<seq>","fields":[name, value, ...]}`: the fields in their order, also where a name
stands twice. What is no UTF-8 stands as `{"base64":"..."}`. A line of an export has its partition
in front where that is not 0.
"""

from collections.abc import Sequence

import msgspec

from events.entry.entry_id import EntryId
from events.errors import EventsError

RawEntry = tuple[bytes, Sequence[bytes]]
"""An entry as Redis tells it: its id, and field, value, field, value, ..."""


class EntryLineError(EventsError):
    """A line is no entry."""


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
        fields = [one.decode() for one in strings]
    except UnicodeDecodeError:
        fields = [_printed(one) for one in strings]
    return _ENCODE(_EntryLine(entry_id.decode(), fields, partition)) + b"\n"


def _printed(raw: bytes) -> str | _Base64Value:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _Base64Value(raw)


def entry_of(line: bytes) -> tuple[int, EntryId, list[bytes]]:
    """Read a line: the partition, the entry's id, and its fields; raise EntryLineError."""
    try:
        read = _DECODE(line)
        entry_id = EntryId.parse(read.id)
        strings = [one.encode() if isinstance(one, str) else one.base64 for one in read.fields]
    except (msgspec.DecodeError, UnicodeError, EventsError, RecursionError) as error:
        raise EntryLineError(f"no entry: {error}") from None
    if len(strings) % 2:
        raise EntryLineError(f"entry {entry_id}: {len(strings)} strings are no pairs")
    return read.partition, entry_id, strings
