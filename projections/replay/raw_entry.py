"""Read an entry as Redis returns it, only as far as the caller needs."""

from collections.abc import Sequence

import msgspec

from events.entry.codec import ENTRY_BYTES_MAX, FIELDS, decode, decode_values
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata, RecordedEvent, bounded_entries_of
from events.entry.stored_json import UNREADABLE
from projections.replay.partition_history import RawEntry

USUAL_FIELDS = (FIELDS, [*FIELDS, b"metadata"])
"""The usual fields of an entry: in this order each value has a fixed index."""

LONGER = 12
"""Strings (names and values) in a usual entry with metadata."""


class _Listed(msgspec.Struct, gc=False):
    route_id: str


class Subject(msgspec.Struct, gc=False):
    """The ids that an event names, as they are spelled; its other fields are not decoded."""

    endpoint_id: str
    route_id: str = ""
    routes: tuple[_Listed, ...] = ()


subject_of = msgspec.json.Decoder(Subject).decode
"""Reads a payload's subject; raises one of `UNREADABLE`."""

read_metadata = msgspec.json.Decoder(Metadata).decode
"""Reads the metadata, as the codec does; raises one of `UNREADABLE`."""


def payload_of(flat: Sequence[bytes]) -> bytes:
    """Return the payload from a list of fields and values, empty where there is none."""
    if flat[::2] in USUAL_FIELDS:
        return flat[9]
    return dict(zip(flat[::2], flat[1::2], strict=True)).get(b"payload", b"")


def endpoint_of(entry: RawEntry) -> str | None:
    """Return the endpoint that the entry names, as it is spelled, None where it names none."""
    try:
        return subject_of(payload_of(entry[1])).endpoint_id
    except UNREADABLE:
        return None


def recorded_of(entry: RawEntry, partition: int) -> RecordedEvent:
    """Read a raw entry as an event.

    Raises:
        UnknownEventTypeError: The name is not that of a known type.
        UndecodableEntryError: The content does not fit the type.
    """
    entry_id, flat = entry
    if flat[::2] in USUAL_FIELDS:
        return decode_values(EntryId.parse(entry_id), partition, flat[1::2])
    [bounded] = bounded_entries_of([entry], partition, ENTRY_BYTES_MAX)
    return decode(bounded)
