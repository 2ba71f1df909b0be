"""Reads the entries of Backend.AI's own stream, for a person or a program.

The stream carries all events of a cluster, most of them about other things than routes. Each is
shown with its content as it was written, in either wire format (see `producers.backend_ai.wire`).
A msgpack extension is shown as its number and its size, because Backend.AI's carry pickles.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from consumers.cli.terminal.entry_json import fields_as_text
from consumers.cli.terminal.output import shown_id
from events.entry.recorded import Entry
from events.entry.stored_json import DEPTH_MAX, UNREADABLE, any_json
from events.errors import DamagedValueError, UndecodableEntryError
from events.streams.foreign_stream import ForeignEvent
from producers.backend_ai import wire
from producers.backend_ai.wire import MalformedEntryError

_TEXT_CHARACTERS_MAX = 60
_UNREADABLE = (*UNREADABLE, OverflowError, TypeError)
_KNOWN = frozenset({b"name", b"source", b"args", b"payload", b"metadata", b"_retry_count"})


def printed_entry(entry: Entry, *, wide: bool = False) -> ForeignEvent:
    """Return the event that the entry holds; a *wide* summary has whole ids.

    Raises:
        UndecodableEntryError: No release of Backend.AI writes such an entry.
    """
    try:
        return _event_of(entry.fields, wide=wide)
    except MalformedEntryError as error:
        raise UndecodableEntryError(str(error)) from None


def _event_of(fields: Mapping[bytes, bytes], *, wide: bool) -> ForeignEvent:
    event = wire.decode(fields)
    name = _text(fields, b"name")
    content = _content(name, fields)
    values: dict[str, Any] = {
        "name": name,
        "source": _text(fields, b"source"),
        "metadata": _json(name, "metadata", fields[b"metadata"]) if b"metadata" in fields else None,
        "payload": content,
    }
    if copies := wire.retry_count(fields):
        values["retry_count"] = copies
    if others := {key: value for key, value in fields.items() if key not in _KNOWN}:
        values["fields"] = fields_as_text(others.items())
    endpoint = str(event.endpoint_id) if isinstance(event, wire.RouteListUpdated) else ""
    summary = _summary(event, content, wide=wide)
    if copies:
        summary = f"{summary} (copy {copies})"
    return ForeignEvent(name, values["source"], summary, values, endpoint)


def _content(name: str, fields: Mapping[bytes, bytes]) -> Any:  # noqa: ANN401 - JSON
    if b"payload" in fields:
        return _json(name, "payload", fields[b"payload"])
    if b"args" in fields:
        try:
            args = msgspec.msgpack.decode(fields[b"args"], strict=False)
            return _without_extensions(args, DEPTH_MAX)
        except _UNREADABLE as error:
            raise MalformedEntryError(f"{name}: args: {error}") from None
    raise MalformedEntryError(f"{name}: the entry has neither args nor payload")


def _json(name: str, field: str, raw: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return any_json(raw)
    except DamagedValueError as error:
        raise MalformedEntryError(f"{name}: {field}: {error}") from None


def _without_extensions(value: Any, levels: int) -> Any:  # noqa: ANN401 - what msgpack can hold
    if levels < 0:
        raise ValueError(f"it is nested deeper than {DEPTH_MAX} levels")
    match value:
        case msgspec.msgpack.Ext():
            return {"extension": value.code, "bytes": memoryview(value.data).nbytes}
        case list():
            return [_without_extensions(item, levels - 1) for item in value]
        case dict():
            return {
                _name(key, levels): _without_extensions(item, levels - 1)
                for key, item in value.items()
            }
        case bytes():
            return {"bytes": len(value)}
        case None | bool() | int() | float() | str():
            return value
    return str(value)


def _name(key: Any, levels: int) -> str:  # noqa: ANN401 - what msgpack can hold
    if isinstance(key, str):
        return key
    return msgspec.json.encode(_without_extensions(key, levels - 1)).decode()


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode("utf-8", "backslashreplace")


def _summary(event: wire.WireEvent, content: Any, *, wide: bool) -> str:  # noqa: ANN401 - JSON
    match event:
        case wire.StatusUpdated():
            return f"session {shown_id(event.session_id, wide=wide)} {event.new_status}"
        case wire.RouteListUpdated():
            return "its hand-off keys hold the routes"
    if isinstance(content, dict):
        return ", ".join(f"{name} {_short(value)}" for name, value in content.items())
    return ", ".join(map(_short, content if isinstance(content, list) else [content]))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _TEXT_CHARACTERS_MAX else f"{text[:_TEXT_CHARACTERS_MAX]}..."
