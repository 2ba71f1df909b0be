"""Check and encode an append before anything is written, and divide it by partition."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from events.catalogue.event import Event, new_event_ids
from events.entry.codec import EncodedEvent, Origin, encode_events
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata
from events.errors import AppendError, EventsError, IncompleteAppendError, InvalidEventError
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


class Batch(msgspec.Struct, frozen=True):
    """One partition's events, all appended or none.

    Attributes:
        partition: The partition.
        places: Indexes of its events among those of the append.
        expected: The head that the one endpoint of all events must have; None: any.
        origin: Source and metadata of all events.
        events: The events to append, in this order; at least one.
    """

    partition: int
    places: Sequence[int]
    expected: EntryId | None
    origin: Origin
    events: Sequence[EncodedEvent]

    @property
    def endpoint_id(self) -> UUID:
        """The endpoint of the first event."""
        return self.events[0].endpoint_id

    @property
    def event_ids(self) -> tuple[UUID, ...]:
        """The ids of its events."""
        return tuple(UUID(event.event_id) for event in self.events)


def batches_of(
    events: Sequence[Event],
    partitions: int,
    source: str,
    *,
    event_ids: Sequence[UUID] | None = None,
    expected: EntryId | None = None,
    metadata: Metadata | None = None,
) -> list[Batch]:
    """Check an append as a whole and divide it among *partitions*.

    Raises:
        InvalidEventError: There are no events or too many, *event_ids* are not one for each,
            *expected* is given for several endpoints, or a field of an event breaks its limits.
    """
    by_partition = _places(events, partitions, expected)
    origin, ids = Origin.of(source, metadata), _ids(event_ids, len(events))
    batches = []
    for partition, places in by_partition.items():
        encoded = encode_events(
            [events[place] for place in places], [ids[place] for place in places], origin
        )
        batches.append(Batch(partition, places, expected, origin, encoded))
    return batches


def _places(
    events: Sequence[Event], partitions: int, expected: EntryId | None
) -> Mapping[int, Sequence[int]]:
    """Return the indexes of the events that go to each partition."""
    if not events:
        raise InvalidEventError("events", "an append needs at least one")
    if expected is not None:
        endpoints = len({event.endpoint_id for event in events})
        if endpoints > 1:
            raise InvalidEventError(
                "expected", f"it applies to one endpoint, got events of {endpoints}"
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


def _ids(given: Sequence[UUID] | None, count: int) -> Sequence[str]:
    """Return an id for each of *count* events: those *given*, or new ones."""
    if given is None:
        return new_event_ids(count)
    if len(given) != count:
        raise InvalidEventError("event_ids", f"{len(given)} for {count} events, give one for each")
    if len(set(given)) < count:
        raise InvalidEventError("event_ids", "two events have the same, each has one of its own")
    return [str(event_id) for event_id in given]


AppendBatch = Callable[[Batch, Durability], Awaitable[Sequence[EntryId]]]
"""Appends one batch; raises `AppendError` where the batch is, or may be, in the log."""


async def append_each(
    batches: Sequence[Batch], durability: Durability, append: AppendBatch
) -> Appended:
    """Append one batch after another, up to the first that fails.

    Raises:
        IncompleteAppendError: Events of several batches, some of which are or may be in the log.
        EventsError: What *append* raised for the only batch, or for the first if nothing of it is
            in the log.
    """
    entry_ids: list[EntryId | None] = [None] * sum(len(batch.places) for batch in batches)
    for batch in batches:
        try:
            appended = await append(batch, durability)
        except AppendError as error:
            if len(batches) == 1:
                raise
            _fill(entry_ids, batch, error.entry_ids)
            raise _incomplete(batches, entry_ids, error) from error
        except EventsError as error:
            if batch is batches[0]:
                raise
            raise _incomplete(batches, entry_ids, error) from error
        if len(batches) == 1:
            return Appended(tuple(appended), durability)
        _fill(entry_ids, batch, appended)
    return Appended(tuple(filter(None, entry_ids)), durability)


def _fill(
    entry_ids: list[EntryId | None], batch: Batch, appended: Sequence[EntryId | None]
) -> None:
    for place, entry_id in zip(batch.places, appended, strict=True):
        entry_ids[place] = entry_id


def _incomplete(
    batches: Sequence[Batch], entry_ids: Sequence[EntryId | None], error: EventsError
) -> IncompleteAppendError:
    ids = {
        place: event_id
        for batch in batches
        for place, event_id in zip(batch.places, batch.event_ids, strict=True)
    }
    return IncompleteAppendError(str(error), [ids[place] for place in sorted(ids)], entry_ids)
