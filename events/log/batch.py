"""Check and encode an append before anything is written, and divide it by partition."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from events.catalogue.event import Event, new_event_id
from events.entry.codec import encode
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata
from events.errors import InvalidEventError
from events.limits import Limited
from events.log.keys import partition_of

APPEND_MAX = 2_500
"""Events that one append may have in one partition: a full route list with all routes starting."""


class Durability(Limited, frozen=True):
    """What an append waits for: events in memory (nothing more), on disk, on replicas.

    Attributes:
        fsync: Wait until the server has synced its append-only file (Redis 7.2, Valkey 8).
        replicas: Wait until this many replicas have the events.
        timeout_ms: The longest wait for either.
    """

    fsync: bool = False
    replicas: Annotated[int, Meta(ge=0, le=100)] = 0
    timeout_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 2_000


MEMORY = Durability()
FSYNC = Durability(fsync=True)


class Appended(msgspec.Struct, frozen=True):
    """The result of an append: the entry ids in the events' order, and what it waited for."""

    entry_ids: tuple[EntryId, ...]
    durability: Durability


class NewEntry(msgspec.Struct, frozen=True):
    """An event that is not yet in the log: its endpoint, and the fields of its entry."""

    endpoint_id: UUID
    fields: dict[bytes, bytes]


class Batch(msgspec.Struct, frozen=True):
    """One partition's events, all appended or none.

    Attributes:
        partition: The partition.
        places: Indexes of its events among those of the append.
        expected: The head that the one endpoint of all events must have; None: any.
        event_id: The id of the first event, by which the server recognises the batch.
        entries: The entries to append, in this order; at least one.
    """

    partition: int
    places: Sequence[int]
    expected: EntryId | None
    event_id: str
    entries: Sequence[NewEntry]

    @property
    def endpoint_id(self) -> UUID:
        """The endpoint of the first event."""
        return self.entries[0].endpoint_id


def batches_of(
    events: Sequence[Event],
    partitions: int,
    source: str,
    *,
    expected: EntryId | None = None,
    metadata: Metadata | None = None,
) -> list[Batch]:
    """Check an append as a whole and divide it among *partitions*.

    Raises:
        InvalidEventError: There are no events or too many, *expected* is given for several
            endpoints, or a field of an event breaks its limits.
    """
    batches = []
    for partition, places in _places(events, partitions, expected).items():
        ids = [new_event_id() for _ in places]
        entries = [
            NewEntry(events[place].endpoint_id, encode(events[place], event_id, source, metadata))
            for place, event_id in zip(places, ids, strict=True)
        ]
        batches.append(Batch(partition, places, expected, str(ids[0]), entries))
    return batches


def _places(
    events: Sequence[Event], partitions: int, expected: EntryId | None
) -> Mapping[int, list[int]]:
    """Return the indexes of the events that go to each partition."""
    if not events:
        raise InvalidEventError("events", "an append needs at least one")
    endpoints = {event.endpoint_id for event in events}
    if expected is not None and len(endpoints) > 1:
        raise InvalidEventError(
            "expected", f"it applies to one endpoint, got events of {len(endpoints)}"
        )
    places: dict[int, list[int]] = {}
    for place, event in enumerate(events):
        places.setdefault(partition_of(event.endpoint_id, partitions), []).append(place)
    for indexes in places.values():
        if len(indexes) > APPEND_MAX:
            raise InvalidEventError(
                "events", f"{len(indexes)} for one partition, the limit is {APPEND_MAX} an append"
            )
    return places
