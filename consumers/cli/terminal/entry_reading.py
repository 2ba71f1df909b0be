"""Reads the entries of any stream, the log's own or another system's."""

from typing import Any

import msgspec
from msgspec.structs import replace

from consumers.cli.terminal.entry_json import EntryValue, as_json, fields_as_text
from consumers.cli.terminal.entry_line import Line, text_of
from consumers.cli.terminal.output_form import json_fields
from events.entry.codec import decode
from events.entry.position import time_of
from events.entry.recorded import Entry
from events.errors import EventsError
from events.streams.foreign_stream import ForeignDecoder

EXPRESSION_ROOTS = (*json_fields(EntryValue), "time", "type", "endpoint")
"""The first names of paths into an entry: its JSON fields, and three derived ones."""

_RAW_CHARACTERS_MAX = 200


class EntryReading(msgspec.Struct, frozen=True):
    """How the entries of a stream are read.

    Attributes:
        is_foreign: Whether the stream is not a partition of the log: an entry that is not an event
            of ours is then shown raw, without a problem.
        decoder: The decoder of another system's entries.
    """

    is_foreign: bool = False
    decoder: ForeignDecoder | None = None

    def line(self, entry: Entry, *, wide: bool = False) -> Line:
        """Return the entry as a line for a person; a *wide* line has whole ids."""
        if not self.is_foreign or (self.decoder is None and _is_ours(entry)):
            return Line.of(entry, wide=wide)
        name, source = text_of(entry, b"name"), text_of(entry, b"source")
        line = Line(entry.entry_id, "", name, source, _raw(entry), is_wide=wide)
        if self.decoder is None:
            return line
        try:
            event = self.decoder(entry, wide=wide)
        except EventsError as error:
            return replace(line, summary=str(error), is_readable=False)
        return Line(
            *(entry.entry_id, event.endpoint, event.name, event.source, event.summary),
            is_wide=wide,
        )

    def value(self, entry: Entry) -> dict[str, Any]:
        """Return the entry as JSON; its partition is null on a foreign stream."""
        if not self.is_foreign:
            return as_json(entry)
        place: dict[str, Any] = {"entry_id": str(entry.entry_id), "partition": None}
        raw = {"fields": fields_as_text(entry.pairs)}
        if self.decoder is None:
            return {**as_json(entry), **place} if _is_ours(entry) else {**place, **raw}
        try:
            return {**place, **self.decoder(entry).values}
        except EventsError as error:
            return {**place, "problem": str(error), **raw}

    def foreign_endpoint(self, entry: Entry) -> str | None:
        """Return the endpoint that another system's entry names, None if it names none."""
        line = self.line(entry)
        return line.endpoint_id if line.is_readable and line.endpoint_id else None

    def record(self, entry: Entry) -> "EntryRecord":
        """Return the record on which an expression is evaluated."""
        return EntryRecord(self, entry)


class EntryRecord:
    """The values of `EXPRESSION_ROOTS` of one entry; each is read only when it is needed."""

    def __init__(self, reading: EntryReading, entry: Entry) -> None:
        self._reading = reading
        self._entry = entry
        self._value: dict[str, Any] | None = None

    def get(self, name: str) -> Any:  # noqa: ANN401 - a value of JSON
        """Return the value of one root, None if the entry has none."""
        if name == "time":
            return f"{time_of(self._entry.entry_id):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        if name == "endpoint":
            return self._endpoint()
        if self._value is None:
            self._value = self._reading.value(self._entry)
        return self._value.get("name" if name == "type" else name)

    def _endpoint(self) -> str | None:
        if self._reading.decoder is not None:
            return self._reading.foreign_endpoint(self._entry)
        payload = self.get("payload")
        return payload.get("endpoint_id") if isinstance(payload, dict) else None


def _is_ours(entry: Entry) -> bool:
    try:
        decode(entry)
    except EventsError:
        return False
    return True


def _raw(entry: Entry) -> str:
    pairs = (
        f"{name.decode('utf-8', 'backslashreplace')}={value.decode('utf-8', 'backslashreplace')}"
        for name, value in entry.pairs
        if name not in {b"name", b"source"}
    )
    text = " ".join(pairs)
    return text if len(text) <= _RAW_CHARACTERS_MAX else f"{text[:_RAW_CHARACTERS_MAX]}..."
