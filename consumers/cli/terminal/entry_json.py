"""Converts entries to JSON for a program; see `entry_line` for a person."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

import msgspec

from events.entry.codec import decode
from events.entry.recorded import Entry
from events.entry.stored_json import any_json
from events.errors import EventsError

BINARY = "base64"
"""The key, or the prefix, of bytes that are not UTF-8."""

Text = str | dict[str, str]
FieldValue = Text | list[Text]


class EntryValue(TypedDict, total=False):
    """The fields that an entry can have in JSON; they are the columns of its CSV."""

    entry_id: str
    partition: int | None
    name: str
    version: int
    event_id: str
    source: str
    metadata: dict[str, Any]
    payload: dict[str, Any]
    problem: str
    fields: dict[str, Any]


def as_json(entry: Entry) -> dict[str, Any]:
    """Return the entry with its payload as it was recorded; raw where it cannot be decoded."""
    place = {"entry_id": str(entry.entry_id), "partition": entry.partition}
    try:
        recorded = decode(entry)
        payload = any_json(entry.fields[b"payload"])
    except EventsError as error:
        return {**place, "problem": str(error), "fields": fields_as_text(entry.pairs)}
    return {
        **place,
        "name": recorded.event.wire_name,
        "version": int(entry.fields.get(b"v", b"1")),
        "event_id": recorded.event_id,
        "source": recorded.source,
        "metadata": msgspec.to_builtins(recorded.metadata),
        "payload": payload,
        **({"fields": fields_as_text(entry.pairs)} if entry.written else {}),
    }


def fields_as_text(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, FieldValue]:
    """Return raw fields as JSON values; bytes that are not UTF-8 become base64.

    A field that is given several times has a list of its values, of which the last one counts.
    """
    fields: dict[str, list[Text]] = {}
    for name, value in pairs:
        fields.setdefault(_name(name), []).append(_value(value))
    return {name: values if len(values) > 1 else values[0] for name, values in fields.items()}


def field_lines(fields: Mapping[str, FieldValue]) -> list[tuple[str, str]]:
    """Return a line for each value, as pairs of what it is and its text."""
    return [
        (f"field {name}", value if isinstance(value, str) else f"{BINARY} {value[BINARY]}")
        for name, given in fields.items()
        for value in (given if isinstance(given, list) else [given])
    ]


def _name(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"{BINARY}:{b64encode(raw).decode()}"


def _value(raw: bytes) -> Text:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {BINARY: b64encode(raw).decode()}
