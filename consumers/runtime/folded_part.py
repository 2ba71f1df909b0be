"""The endpoints of a batch that are written in one step, and what their events led to."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Generic, TypeVar
from uuid import UUID

from consumers.runtime.outcome import Delivery
from events.entry.recorded import RecordedEvent
from projections.projection import Projection
from projections.read_model.store import DocumentChange

State = TypeVar("State")

Delivered = list[tuple[Delivery, RecordedEvent]]
"""The events of one endpoint, with their deliveries."""

Part = Mapping[UUID, Delivered]
"""Some endpoints of a batch, with their events."""


@dataclass
class Changed(Generic[State]):
    """The new state of one endpoint after a batch."""

    endpoint_id: UUID
    state: State
    change: DocumentChange
    deliveries: list[Delivery]


@dataclass
class FoldedPart(Generic[State]):
    """The result: documents to write, entries without effect, entries that failed."""

    changed: list[Changed[State]] = field(default_factory=list)
    unchanged: list[Delivery] = field(default_factory=list)
    failed: list[tuple[Delivery, Exception]] = field(default_factory=list)

    @property
    def newest_event_id(self) -> bytes:
        """The id of the event of the newest entry that was folded; empty where it is not known."""
        folded = chain(self.unchanged, *(changed.deliveries for changed in self.changed))
        newest = max(folded, key=lambda delivery: delivery.entry_id, default=None)
        return b"" if newest is None else newest.entry.event_id

    def fold(
        self,
        projection: Projection[State],
        endpoint_id: UUID,
        held: tuple[int, State],
        delivered: Delivered,
    ) -> None:
        """Fold the events of one endpoint into what is *held* of it, its revision and state."""
        revision, before = held
        evolve = projection.evolve
        state = before
        done = []
        for delivery, recorded in delivered:
            try:
                state = evolve(state, recorded)
            except Exception as error:  # noqa: BLE001 - however a fold fails, its entry has an end
                self.failed.append((delivery, error))
            else:
                done.append(delivery)
        if not done or (state is before and revision):
            self.unchanged += done
            return
        entry_ids = [delivery.entry_id for delivery in done]
        document = projection.encode(state, revision + 1)
        change = DocumentChange(str(endpoint_id), revision, document, entry_ids)
        self.changed.append(Changed(endpoint_id, state, change, done))


def parts_of(by_endpoint: Part, endpoints_max: int) -> Iterator[Part]:
    """Yield *by_endpoint* in parts of so many endpoints at most; one without any if it has none."""
    endpoints = iter(by_endpoint.items())
    part = dict(islice(endpoints, endpoints_max))
    yield part
    while part := dict(islice(endpoints, endpoints_max)):
        yield part


def deliveries_of(parts: Iterable[Part]) -> list[Delivery]:
    """Return all deliveries of *parts*."""
    return [delivery for part in parts for delivered in part.values() for delivery, _ in delivered]
