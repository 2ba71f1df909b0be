"""Decode and encode entries of Backend.AI's own event stream.

Releases up to 26.8 write an event's content as a msgpack array (`args`), those from 26.9 on as a
JSON object (`payload`); both name the event in `name`. The two events that matter here consist of
text only. Backend.AI's msgpack extension types carry pickles, so no extension type is ever
decoded.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec

from events.catalogue.model_service import ModelServiceStatus
from events.entry.stored_json import UNREADABLE
from producers.errors import ProducersError
from producers.life_cycle.session_effects import SessionStatus

STREAM = b"events"
"""The key of the stream that holds every core event of a Backend.AI cluster (database 4)."""

CHANNEL = b"events_all"
"""The Pub/Sub channel on which its components tell all others something at once."""

WireFormat = Literal["msgpack", "json"]
"""How an event's content is written: `msgpack` by releases up to 26.8, `json` from 26.9 on."""


class MalformedEntryError(ProducersError):
    """An entry is not what any release of Backend.AI writes; the message names the field."""


class RouteListUpdated(msgspec.Struct, frozen=True):
    """The endpoint's routes changed; the hand-off keys hold the new list."""

    endpoint_id: UUID


class StatusUpdated(msgspec.Struct, frozen=True):
    """The model service in the session has become healthy or unhealthy."""

    session_id: UUID
    new_status: ModelServiceStatus


class SessionChanged(msgspec.Struct, frozen=True):
    """A session of any kind runs, terminates, is gone or was cancelled; *reason* may be empty."""

    session_id: UUID
    status: SessionStatus
    reason: str = ""


class Other(msgspec.Struct, frozen=True):
    """An event with another name; its content was not decoded."""

    name: str


WireEvent = RouteListUpdated | StatusUpdated | SessionChanged | Other

SESSION_EVENTS: Mapping[str, SessionStatus] = {
    "session_started": "running",
    "session_terminating": "terminating",
    "session_terminated": "terminated",
    "session_cancelled": "cancelled",
}
"""What each event of a session says of it."""

_KINDS: Mapping[str, tuple[type[RouteListUpdated | StatusUpdated], Any]] = {
    "endpoint_route_list_updated": (RouteListUpdated, msgspec.msgpack.Decoder(tuple[str])),
    "model_service_status_updated": (StatusUpdated, msgspec.msgpack.Decoder(tuple[str, str])),
}
_REASON_MAX = 1_024
_read_array = msgspec.msgpack.Decoder(list[str | int | float | bool | None]).decode
_MODIFIERS = frozenset({b"NOMKSTREAM", b"KEEPREF", b"DELREF", b"ACKED"})


def xadd_fields(args: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the fields that an XADD command (its name included) gives its entry.

    Raises:
        MalformedEntryError: The server would refuse the command as well.
    """
    tokens = list(args[2:])
    while tokens and (option := tokens[0].upper()) in _MODIFIERS | {b"MAXLEN", b"MINID", b"LIMIT"}:
        bound = option not in _MODIFIERS
        exactness = bound and tokens[1:2] in ([b"~"], [b"="])
        del tokens[: 1 + bound + exactness]
    pairs = tokens[1:]
    if not pairs or len(pairs) % 2:
        raise MalformedEntryError(
            f"XADD: {len(pairs)} names and values of fields, they come in pairs, at least one"
        )
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def decode(fields: Mapping[bytes, bytes]) -> WireEvent:
    """Decode an entry in either format; its `metadata` and `source` are not needed.

    Raises:
        MalformedEntryError: The name is missing or not text, or the content is not its event's.
    """
    try:
        name = fields[b"name"].decode()
    except KeyError:
        raise MalformedEntryError("name: the entry has none") from None
    except UnicodeDecodeError as error:
        raise MalformedEntryError(f"name: {error}") from None
    if name in SESSION_EVENTS:
        return _session_changed(name, fields)
    if name not in _KINDS:
        return Other(name)
    if b"payload" in fields:
        return _from_payload(name, fields[b"payload"])
    if b"args" in fields:
        return _from_args(name, fields[b"args"])
    raise MalformedEntryError(f"{name}: the entry has neither args nor payload")


def _session_changed(name: str, fields: Mapping[bytes, bytes]) -> WireEvent:
    """Read an event of a session: its id comes first, its reason last.

    Releases differ in what stands between. Most sessions serve no model, so an event that is
    written otherwise is one that says nothing about routes.
    """
    try:
        if b"payload" in fields:
            said = msgspec.json.decode(fields[b"payload"], type=dict[str, Any])
            first, last = said.get("session_id"), said.get("reason")
        else:
            content = _read_array(fields.get(b"args", b""))
            first, last = content[0], content[-1] if len(content) > 1 else ""
        reason = last[:_REASON_MAX] if isinstance(last, str) else ""
        return SessionChanged(UUID(str(first)), SESSION_EVENTS[name], reason)
    except (*UNREADABLE, IndexError, ValueError):
        return Other(name)


def _from_payload(name: str, payload: bytes) -> WireEvent:
    kind, _ = _KINDS[name]
    try:
        return msgspec.json.decode(payload, type=kind)
    except UNREADABLE as error:
        raise MalformedEntryError(f"{name}: payload: {error}") from None


def _from_args(name: str, args: bytes) -> WireEvent:
    kind, decoder = _KINDS[name]
    try:
        texts = decoder.decode(args)
        return msgspec.convert(dict(zip(kind.__struct_fields__, texts, strict=True)), kind)
    except UNREADABLE as error:
        raise MalformedEntryError(f"{name}: args: {error}") from None


def retry_count(fields: Mapping[bytes, bytes]) -> int:
    """Return how often Backend.AI has appended this event again; 0 for the original.

    A failing handler of any group causes a copy, which every group sees. A copy is appended at the
    end of the stream, so its content may be older than that of the entries before it.

    Raises:
        MalformedEntryError: The count is not a number.
    """
    count = fields.get(b"_retry_count", b"0")
    try:
        return int(count)
    except ValueError:
        raise MalformedEntryError(f"_retry_count: {count[:32]!r} is no number") from None


def anycast_fields(
    event: RouteListUpdated | StatusUpdated,
    source: str,
    wire_format: WireFormat,
    request_id: str | None = None,
) -> dict[bytes, bytes]:
    """Return the fields of the entry that tells one member of each group of *event*.

    *request_id* is what Backend.AI's components name in the lines that they log about it.
    """
    return {
        b"name": _name_of(event).encode(),
        b"source": source.encode(),
        b"args" if wire_format == "msgpack" else b"payload": _content(event, wire_format),
        b"metadata": _metadata(wire_format, request_id),
    }


def broadcast_text(
    event: RouteListUpdated | StatusUpdated,
    source: str,
    wire_format: WireFormat,
    request_id: str | None = None,
) -> bytes:
    """Return what is published on `CHANNEL` to tell all components of *event*."""
    content = _content(event, wire_format)
    metadata = _metadata(wire_format, request_id).decode()
    text = {"name": _name_of(event), "source": source}
    if wire_format == "msgpack":
        return msgspec.json.encode(
            {**text, "args": b64encode(content).decode(), "metadata": metadata}
        )
    return msgspec.json.encode({**text, "payload": content.decode(), "metadata": metadata})


def _name_of(event: RouteListUpdated | StatusUpdated) -> str:
    return next(name for name, (kind, _) in _KINDS.items() if isinstance(event, kind))


def _content(event: RouteListUpdated | StatusUpdated, wire_format: WireFormat) -> bytes:
    if wire_format == "json":
        return msgspec.json.encode(event)
    texts = [str(getattr(event, field)) for field in event.__struct_fields__]
    return msgspec.msgpack.encode(texts)


def _metadata(wire_format: WireFormat, request_id: str | None) -> bytes:
    metadata: dict[str, object] = {"request_id": request_id, "user": None}
    if wire_format == "json":
        metadata["triggered_user"] = None
    return msgspec.json.encode(metadata)
