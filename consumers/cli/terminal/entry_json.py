"""Converts entries to JSON for a program; see `entry_line` for a person."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, TypedDict

import msgspec

from events.entry.codec import decode
from events.entry.recorded import Entry
from events.errors import EventsError

BINARY = "base64"
"""The key, or the prefix, of bytes that are not UTF-8."""


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
    except EventsError as error:
        return {**place, "problem": str(error), "fields": fields_as_text(entry.fields)}
    return {
        **place,
        "name": recorded.event.wire_name,
        "version": int(entry.fields.get(b"v", b"1")),
        "event_id": recorded.event_id,
        "source": recorded.source,
        "metadata": msgspec.to_builtins(recorded.metadata),
        "payload": msgspec.json.decode(entry.fields[b"payload"]),
    }


def fields_as_text(fields: Mapping[bytes, bytes]) -> dict[str, str | dict[str, str]]:
    """Return raw fields as JSON values; bytes that are not UTF-8 become base64."""
    return {_name(name): _value(value) for name, value in fields.items()}


def _name(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"{BINARY}:{b64encode(raw).decode()}"


def _value(raw: bytes) -> str | dict[str, str]:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {BINARY: b64encode(raw).decode()}
