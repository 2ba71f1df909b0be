"""Selects entries by type, endpoint, source and condition."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Self
from uuid import UUID

import click
import msgspec

from consumers.cli.endpoints.named_endpoint import id_or_beginning
from consumers.cli.events.expression import Expression, parse_expression
from consumers.cli.terminal.entry_reading import EXPRESSION_ROOTS, EntryReading
from events.catalogue.registry import BY_WIRE_NAME
from events.entry.codec import subject_of
from events.entry.recorded import Entry
from events.log.keys import partition_of
from events.log.log import EventLog

ENDPOINT_CHARACTERS_MIN = 4
"""Characters of an endpoint's id that name it, at least."""

_UUID_CHARACTERS = 36
_BEGINNING = re.compile(rf"[0-9a-f-]{{{ENDPOINT_CHARACTERS_MIN},{_UUID_CHARACTERS}}}\Z")


class EntryFilter(msgspec.Struct, frozen=True):
    """The conditions that an entry must meet; an empty one is met by every entry.

    Attributes:
        names: Patterns of event types.
        endpoint: The beginning of an endpoint's id.
        sources: Patterns of sources.
        condition: The condition on the entry's record.
        reading: How an entry is read into that record.
    """

    names: tuple[str, ...] = ()
    endpoint: str | None = None
    sources: tuple[str, ...] = ()
    condition: Expression | None = None
    reading: EntryReading = EntryReading()

    @classmethod
    def parse(
        cls,
        names: Sequence[str] = (),
        endpoint: str | None = None,
        sources: Sequence[str] = (),
        where: str | None = None,
        reading: EntryReading = EntryReading(),  # noqa: B008 - it is frozen
    ) -> Self:
        """Build the filter from the values of command-line options.

        Raises:
            click.UsageError: No type has that name, or *endpoint* is no beginning of an id
                and the stream is foreign.
            InvalidExpressionError: *where* cannot be read.
        """
        for name in () if reading.is_foreign else names:
            if not any(fnmatchcase(known, name) for known in BY_WIRE_NAME):
                raise click.UsageError(f"--type {name!r} is none of {', '.join(BY_WIRE_NAME)}")
        condition = None if where is None else parse_expression(where, EXPRESSION_ROOTS)
        beginning = None if endpoint is None else endpoint.lower()
        is_name = beginning is not None and not _BEGINNING.match(beginning)
        if is_name and reading.is_foreign:
            raise click.UsageError(
                f"--endpoint {endpoint!r} is neither an endpoint's id nor its beginning,"
                f" {ENDPOINT_CHARACTERS_MIN} characters or more; a foreign stream knows no names"
            )
        return cls(tuple(names), beginning, tuple(sources), condition, reading)

    async def with_endpoint_named(self, log: EventLog, endpoint: str | None) -> Self:
        """Return the filter for the endpoint of that name, or id, or beginning of an id.

        Raises:
            EndpointNotFoundError: It is no beginning of an id, and no endpoint is named like that.
        """
        if endpoint is None:
            return self
        return msgspec.structs.replace(self, endpoint=await id_or_beginning(log, endpoint))

    def partitions(self, partitions: int) -> list[int]:
        """Return the partitions that can hold such entries; a whole id belongs to one."""
        if self.endpoint is not None and len(self.endpoint) == _UUID_CHARACTERS:
            try:
                return [partition_of(UUID(self.endpoint), partitions)]
            except ValueError:
                pass  # 36 of these characters need not be a UUID; then nothing is found
        return list(range(partitions))

    def __bool__(self) -> bool:
        """Whether the filter has any condition."""
        return bool(self.names or self.sources or self.endpoint or self.condition)

    def wants(self, entry: Entry) -> bool:
        """Whether the entry meets all conditions."""
        return (
            _fits(entry, b"name", self.names)
            and _fits(entry, b"source", self.sources)
            and (self.endpoint is None or self._is_of(entry, self.endpoint))
            and (self.condition is None or self.condition(self.reading.record(entry)))
        )

    def _is_of(self, entry: Entry, beginning: str) -> bool:
        if self.reading.decoder is not None:
            return (self.reading.foreign_endpoint(entry) or "").startswith(beginning)
        # Most entries belong to other endpoints: searching the bytes is faster than reading JSON.
        # An id may be spelled without dashes, or with escapes.
        payload = entry.fields.get(b"payload", b"").lower().replace(b"-", b"")
        if beginning.replace("-", "").encode() not in payload and b"\\" not in payload:
            return False
        return endpoint_of(entry).startswith(beginning)


def _fits(entry: Entry, field: bytes, patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return True
    text = entry.fields.get(field, b"").decode("utf-8", "replace")
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def endpoint_of(entry: Entry) -> str:
    """Return the endpoint id in the payload, an empty string where there is none."""
    return str(subject_of(entry) or "")
