"""Appending: what happens to a few endpoints, drawn at random, and what comes of it in the end."""

from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from events import EventLog, RecordedEvent
from events.catalogue.event import Event
from projections.projection import Projection
from tests.support.histories import (
    created,
    failed,
    listed,
    observed,
    record,
    recorded,
    route_created,
    started,
    terminating,
    weighted,
)


def anything(random: Random, endpoint_id: UUID) -> Event:
    """Return something that could happen to the endpoint."""
    route = random.randrange(3)
    event: Event = random.choice(
        [
            created(name=f"v{random.randrange(9)}"),
            listed(*(record(one) for one in random.sample(range(3), random.randrange(4)))),
            route_created(route),
            started(route, kernel_port=random.randrange(30_000, 30_009)),
            started(route),
            terminating(route),
            failed(route, "no GPU"),
            weighted(random.random(), route),
            observed("healthy", route),
            observed("unhealthy", route, consecutive_failures=3),
        ]
    )
    return replace(event, endpoint_id=endpoint_id)


class Appending:
    """Appends what happens to a few endpoints, and keeps for itself what was acknowledged."""

    def __init__(self, log: EventLog, seed: int, endpoints: Sequence[UUID]) -> None:
        self._log = log
        self._random = Random(seed)
        self._endpoints = endpoints
        self.acknowledged: list[RecordedEvent] = []

    async def run(self, count: int) -> None:
        for _ in range(count):
            size = self._random.randrange(1, 4)
            of = self._random.choices(self._endpoints, k=size)
            events = [anything(self._random, endpoint_id) for endpoint_id in of]
            ids = (await self._log.append(*events)).entry_ids
            self.acknowledged += map(recorded, events, ids)


def truth(projection: Projection[Any], appending: Sequence[Appending]) -> dict[UUID, Any]:
    """Fold in order what the appends were told they did; the log is not asked."""
    found: dict[UUID, Any] = {}
    everything = [one for some in appending for one in some.acknowledged]
    for one in sorted(everything, key=lambda one: one.entry_id):
        state = found.get(one.endpoint_id) or projection.initial(one.endpoint_id)
        found[one.endpoint_id] = projection.evolve(state, one)
    return found
