"""Encode an event as the fields of an entry, and decode it."""

import reprlib
from collections.abc import Callable, Sequence
from typing import Any, Self
from uuid import UUID

import msgspec

from events.catalogue.event import Event
from events.catalogue.labels import wrong_label
from events.catalogue.registry import BY_WIRE_NAME, EVENT_TYPES
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry, Metadata, RecordedEvent
from events.entry.stored_json import UNREADABLE, problem_of
from events.errors import InvalidEventError, UndecodableEntryError, UnknownEventTypeError
from events.limits import in_words, place_of, value_at

ENTRY_BYTES_MAX = 1_048_576
"""Bytes that the fields of one entry may have together."""

FIELDS = [b"name", b"v", b"id", b"source", b"payload"]
"""The fields of every entry that `encode` writes; `metadata` follows them if there is any."""

_NAMES_BYTES = {len(names): sum(map(len, names)) for names in (FIELDS, (*FIELDS, b"metadata"))}
_VERSION_DIGITS_MAX = 9
_SHOWN_BYTES = 20
_FIELDS_BYTES = sum(map(len, FIELDS)) + len(str(UUID(int=0)))
"""What the names and the event's id take of an entry."""

_ENCODER = msgspec.json.Encoder()
_Decoder = tuple[bytes, Callable[[bytes], Event]]
"""A type's newest version, and the decoder of that version."""


_WireForm = tuple[bytes, bytes, Callable[[bytes], Event]]
"""A type's name, newest version, and the decoder of that version."""

_WIRE_FORMS: dict[type[Event], _WireForm] = {}


def _wire_form(kind: type[Event]) -> _WireForm:
    form = kind.wire_name.encode(), *_decoder(kind)
    return _WIRE_FORMS.setdefault(kind, form)


def _decoder(kind: type[Event]) -> _Decoder:
    return b"%d" % kind.version, msgspec.json.Decoder(kind).decode


_DECODERS = {kind.wire_name.encode(): _decoder(kind) for kind in EVENT_TYPES}
_NO_METADATA = Metadata()
_METADATA_DECODER = msgspec.json.Decoder(Metadata)


class _Subject(msgspec.Struct, gc=False):
    endpoint_id: UUID


_SUBJECT_DECODER = msgspec.json.Decoder(_Subject)


class Origin(msgspec.Struct, frozen=True, gc=False):
    """What all entries of one append have in common: the fields `source` and `metadata`."""

    source: bytes
    metadata: bytes = b""

    @classmethod
    def of(cls, source: str, metadata: Metadata | None) -> Self:
        """Return the encoded fields; no *metadata* is `b""`."""
        return cls(source.encode(), b"" if metadata is None else _ENCODER.encode(metadata))

    @property
    def size(self) -> int:
        """Bytes that it takes of each entry, the name of `metadata` included."""
        return len(self.source) + (len(b"metadata" + self.metadata) if self.metadata else 0)


class EncodedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as its entry has it, without its origin."""

    endpoint_id: UUID
    event_id: str
    name: bytes
    version: bytes
    payload: bytes

    def fields(self, origin: Origin) -> dict[bytes, bytes]:
        """Return the fields of its entry."""
        values = (self.name, self.version, self.event_id.encode(), origin.source, self.payload)
        fields = dict(zip(FIELDS, values, strict=True))
        return {**fields, b"metadata": origin.metadata} if origin.metadata else fields


def encode(
    event: Event, event_id: UUID, source: str, metadata: Metadata | None = None
) -> dict[bytes, bytes]:
    """Return the fields of the entry for *event*.

    Raises:
        InvalidEventError: A field breaks its limits, or the entry would be too large.
    """
    origin = Origin.of(source, metadata)
    [encoded] = encode_events([event], [str(event_id)], origin)
    return encoded.fields(origin)


def encode_events(
    events: Sequence[Event], event_ids: Sequence[str], origin: Origin
) -> list[EncodedEvent]:
    """Encode *events*, each with its id.

    Raises:
        InvalidEventError: A field breaks its limits, or an entry would be too large.
    """
    encoded, common = [], _FIELDS_BYTES + origin.size
    for event, event_id in zip(events, event_ids, strict=True):
        name, version, decoder = _WIRE_FORMS.get(type(event)) or _wire_form(type(event))
        payload = _payload_of(event)
        _check(event, payload, decoder)
        size = common + len(name) + len(version) + len(payload)
        if size > ENTRY_BYTES_MAX:
            raise InvalidEventError(
                event.wire_name, f"the entry has {size} bytes, the limit is {ENTRY_BYTES_MAX}"
            )
        encoded.append(EncodedEvent(event.endpoint_id, event_id, name, version, payload))
    return encoded


def check(event: Event) -> None:
    """Refuse what a reader would refuse, before it is written.

    Raises:
        InvalidEventError: A field breaks its limits.
    """
    _, _, decoder = _wire_form(type(event))
    _check(event, _payload_of(event), decoder)


def _check(event: Event, payload: bytes, decoder: Callable[[bytes], Event]) -> None:
    try:
        decoder(payload)
    except msgspec.ValidationError as error:
        raise invalid_event(error, event) from None


def _payload_of(event: Event) -> bytes:
    try:
        return _ENCODER.encode(event)
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise InvalidEventError(event.wire_name, str(error)) from None


def invalid_event(error: msgspec.ValidationError, given: Any) -> InvalidEventError:  # noqa: ANN401 - whatever a caller gave
    """Return an error that names the wrong field of *given* and its value, not msgspec's path.

    A value that holds others is not shown: one of them may be a secret.
    """
    path, problem = place_of(error)
    problem = in_words(problem)
    if not path:
        return InvalidEventError(getattr(given, "wire_name", "value"), problem)
    try:
        value = value_at(msgspec.to_builtins(given), path.removesuffix("[...]"))
    except LookupError:
        return InvalidEventError(path, problem)
    if isinstance(value, dict):
        return _invalid_item(path.removesuffix("[...]"), problem, value)
    shown = f"a list of {len(value)}" if isinstance(value, list | tuple) else reprlib.repr(value)
    return InvalidEventError(path, f"{shown} is not allowed: {problem}")


def _invalid_item(path: str, problem: str, holder: dict[Any, Any]) -> InvalidEventError:
    """Return an error that names the label at fault; of anything else no more is shown."""
    wrong = wrong_label(holder) if path.rpartition(".")[2] == "labels" else None
    if wrong is None:
        return InvalidEventError(path, problem)
    key, problem = wrong
    return InvalidEventError(f"{path}.{key}" if key else path, problem)


def decode(entry: Entry) -> RecordedEvent:
    """Decode an entry as an event of its type's newest version.

    Raises:
        UnknownEventTypeError: No type known here has the name.
        UndecodableEntryError: There is no name, or the content does not fit the type.
    """
    if entry.oversized_bytes:
        raise UndecodableEntryError(_oversized(entry.oversized_bytes))
    fields = entry.fields
    values = [
        fields.get(b"name", b""),
        fields.get(b"v", b"1"),
        fields.get(b"id", b""),
        fields.get(b"source", b""),
        fields.get(b"payload", b""),
    ]
    if b"metadata" in fields:
        values.append(fields[b"metadata"])
    return decode_values(entry.entry_id, entry.partition, values)


def decode_values(entry_id: EntryId, partition: int, values: Sequence[bytes]) -> RecordedEvent:
    """Decode the values of `FIELDS`, in their order, and the metadata if there is any.

    Raises:
        UnknownEventTypeError: No type known here has the name.
        UndecodableEntryError: There is no name, or the content does not fit the type.
    """
    name, version, event_id, source, payload, *metadata = values
    if not name:
        raise UndecodableEntryError("the entry has no name")
    known = _DECODERS.get(name) or _installed(name)
    if known is None:
        raise UnknownEventTypeError(name.decode("utf-8", "replace"))
    if not payload:
        raise UndecodableEntryError("the entry has no payload")
    if (size := len(b"".join(values)) + _NAMES_BYTES[len(values)]) > ENTRY_BYTES_MAX:
        raise UndecodableEntryError(_oversized(size))
    newest, decoder = known
    try:
        return RecordedEvent(
            entry_id,
            partition,
            decoder(payload) if version == newest else _decode_old(name.decode(), version, payload),
            event_id.decode(),
            source.decode(),
            _METADATA_DECODER.decode(metadata[0]) if metadata and metadata[0] else _NO_METADATA,
        )
    except Exception as error:  # noqa: BLE001 - an entry may hold anything that breaks a decoder
        raise UndecodableEntryError(f"{name.decode()}: {problem_of(error)}") from None


def _oversized(size: int) -> str:
    return f"the entry has {size} bytes, the limit is {ENTRY_BYTES_MAX}"


def subject_of(entry: Entry) -> UUID | None:
    """Return the endpoint that *entry* names, without decoding the rest; None if it names none."""
    return subject_in(entry.fields.get(b"payload", b""))


def subject_in(payload: bytes) -> UUID | None:
    """Return the endpoint that *payload* names, None if it names none or is no JSON object."""
    try:
        return _SUBJECT_DECODER.decode(payload).endpoint_id
    except UNREADABLE:
        return None


def is_known_type(name: bytes) -> bool:
    """Whether a type known here has the wire name *name*."""
    return name in _DECODERS or _installed(name) is not None


def payload_decoder(name: bytes) -> Callable[[bytes], Event]:
    """Return what reads payloads of the newest version of a type known here, as `decode` does."""
    known = _DECODERS.get(name) or _installed(name)
    if known is None:
        raise UnknownEventTypeError(name.decode("utf-8", "replace"))
    return known[1]


def _installed(name: bytes) -> _Decoder | None:
    """Return the decoder of an installed package's type; None if no type has the name."""
    kind = BY_WIRE_NAME.get(name.decode("utf-8", "replace"))
    if kind is None:
        return None
    return _DECODERS.setdefault(name, _decoder(kind))


def _decode_old(name: str, written: bytes, raw: bytes) -> Event:
    """Upcast an older payload version by version; the caller names the type in an error."""
    kind = BY_WIRE_NAME[name]
    is_number = written.isdigit() and len(written) <= _VERSION_DIGITS_MAX
    if not is_number or not 1 <= int(written) <= kind.version:
        shown = written[:_SHOWN_BYTES].decode("utf-8", "replace")
        raise UndecodableEntryError(
            f"version {shown!r} is not known here, the newest is {kind.version};"
            " after an upgrade the entry can be requeued"
        )
    payload = msgspec.json.decode(raw)
    for version in range(int(written), kind.version):
        payload = kind.upcasters[version](payload)
    return msgspec.convert(payload, kind)


def upcasts(entry: Entry) -> list[tuple[int, str]]:
    """Return the versions that a readable entry is upcast from, and their upcasters' names."""
    kind = BY_WIRE_NAME.get(entry.fields.get(b"name", b"").decode("utf-8", "replace"))
    written = entry.fields.get(b"v", b"1")
    if kind is None or not written.isdigit():
        return []
    steps = range(int(written), kind.version)
    return [(version, kind.upcasters[version].__name__) for version in steps]
