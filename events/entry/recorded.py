"""Recorded events, read back from the log, and the raw entries they were read from."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from itertools import islice
from typing import TypeVar
from uuid import UUID

import msgspec

from events.catalogue.event import Event
from events.entry.entry_id import EntryId
from events.entry.entry_line import RawEntry

_SHORT_BYTES_MAX = 256
_SHORT_FIELDS_MAX = 16
_EVENT_ID_BYTES_MAX = 64


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A raw item of a partition: an id, and fields that may be anything.

    Attributes:
        entry_id: Its id.
        partition: The partition that it lies on.
        fields: Its fields; of one that is given several times the last value, which counts.
        written: All its fields in their order, if one is given several times.
        oversized_bytes: Its size, if that is beyond what may be held in memory: *fields* then has
            the short ones alone, and the others are in the log. 0 for any other entry.
    """

    entry_id: EntryId
    partition: int
    fields: Mapping[bytes, bytes]
    written: tuple[tuple[bytes, bytes], ...] = ()
    oversized_bytes: int = 0

    @property
    def pairs(self) -> Collection[tuple[bytes, bytes]]:
        """All names and values in their order, each as often as it was written."""
        return self.written or self.fields.items()

    @property
    def event_id(self) -> bytes:
        """The id of its event as it was written; empty where it has none, or no usual one."""
        event_id = self.fields.get(b"id", b"")
        return event_id if len(event_id) <= _EVENT_ID_BYTES_MAX else b""


def entries_of(raw: Iterable[RawEntry], partition: int) -> list[Entry]:
    """Turn Redis's flat reply into entries; an entry whose fields were deleted has none."""
    return [entry_of(EntryId.parse(entry_id), partition, flat or ()) for entry_id, flat in raw]


def bounded_entries_of(raw: Iterable[RawEntry], partition: int, bytes_max: int) -> list[Entry]:
    """Return the entries without the long fields of those of more than *bytes_max* bytes."""
    entries = []
    for entry_id, flat in raw:
        size = len(b"".join(flat or ()))  # a quarter of the time of a sum
        entry = entry_of(EntryId.parse(entry_id), partition, flat or ())
        if size > bytes_max:
            short = {n: v for n, v in entry.fields.items() if len(n) + len(v) <= _SHORT_BYTES_MAX}
            fields = dict(islice(short.items(), _SHORT_FIELDS_MAX))
            entry = Entry(entry.entry_id, partition, fields, oversized_bytes=size)
        entries.append(entry)
    return entries


def entry_of(entry_id: EntryId, partition: int, flat: Sequence[bytes]) -> Entry:
    """Return the entry of which *flat* are the names and values, in turn."""
    pairs = zip(flat[::2], flat[1::2], strict=True)
    fields = dict(pairs)
    if 2 * len(fields) == len(flat):
        return Entry(entry_id, partition, fields)
    return Entry(entry_id, partition, fields, tuple(zip(flat[::2], flat[1::2], strict=True)))


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where an event came from: the request, the wider action, the event that caused it."""

    request_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None


class RecordedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event with its place in the log.

    Attributes:
        entry_id: Its id in the partition; the stamp of what it sets.
        partition: The partition that it lies on.
        event: The fact, in its type's newest version.
        event_id: The id that its producer gave it; sending it again does not change it.
        source: The producer that recorded it.
        metadata: Where it came from.
    """

    entry_id: EntryId
    partition: int
    event: Event
    event_id: str
    source: str
    metadata: Metadata

    @property
    def endpoint_id(self) -> UUID:
        """The endpoint that it happened to."""
        return self.event.endpoint_id


State = TypeVar("State")


Evolve = Callable[[State, RecordedEvent], State]


def fold(evolve: Evolve[State], initial: State, events: Iterable[RecordedEvent]) -> State:
    """Return the state after *events*, applied to *initial* in their order by *evolve*."""
    return reduce(evolve, events, initial)
