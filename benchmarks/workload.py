"""The workload: the events that every benchmark uses, the same in each run."""

import random
from collections.abc import Iterator
from itertools import cycle, islice
from uuid import UUID

from events import (
    EndpointCreatedEvent,
    EndpointRouteListUpdatedEvent,
    Event,
    HealthCheck,
    ModelServiceStatusEvent,
    RouteRecord,
    RouteTrafficRatioUpdatedEvent,
)

ENDPOINTS = 1_000
ROUTES = 4
"""Endpoints, and routes of each."""

_SEED = 25_15
_CHECK = HealthCheck(path="/health")

Endpoint = tuple[UUID, tuple[RouteRecord, ...]]


def endpoints(count: int = ENDPOINTS) -> list[Endpoint]:
    """Return endpoints with their routes."""
    rng = random.Random(_SEED)
    return [(_uuid(rng), tuple(_route(rng, at) for at in range(ROUTES))) for _ in range(count)]


def beginnings(of: list[Endpoint]) -> list[Event]:
    """Return the events that bring the endpoints and their routes into being."""
    created = [
        EndpointCreatedEvent(endpoint_id=one, name="e", model="m", health_check=_CHECK)
        for one, _ in of
    ]
    listed = [EndpointRouteListUpdatedEvent(endpoint_id=one, routes=routes) for one, routes in of]
    return [*created, *listed]


def changes(of: list[Endpoint], count: int) -> Iterator[Event]:
    """Yield *count* changes, spread evenly: 80 % health, 10 % weights, 10 % whole lists."""
    rng = random.Random(_SEED)
    for endpoint_id, routes in islice(cycle(of), count):
        route = rng.choice(routes)
        kind = rng.random()
        if kind < 0.8:
            yield ModelServiceStatusEvent(
                endpoint_id=endpoint_id,
                route_id=route.route_id,
                session_id=route.session_id,
                new_status=rng.choice(("healthy", "unhealthy")),
                reason="HTTP 500, expected 200",
                consecutive_failures=3,
            )
        elif kind < 0.9:
            yield RouteTrafficRatioUpdatedEvent(
                endpoint_id=endpoint_id, route_id=route.route_id, traffic_ratio=rng.random()
            )
        else:
            yield EndpointRouteListUpdatedEvent(endpoint_id=endpoint_id, routes=routes)


def statuses(of: list[Endpoint], count: int) -> Iterator[Event]:
    """Yield *count* status events of about 200 bytes, each on another endpoint."""
    rng = random.Random(_SEED)
    for endpoint_id, routes in islice(cycle(of), count):
        yield ModelServiceStatusEvent(
            endpoint_id=endpoint_id,
            route_id=rng.choice(routes).route_id,
            new_status=rng.choice(("healthy", "unhealthy")),
            reason="HTTP 200",
        )


def _uuid(rng: random.Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


def _route(rng: random.Random, at: int) -> RouteRecord:
    return RouteRecord(
        route_id=_uuid(rng),
        session_id=_uuid(rng),
        app="vllm",
        kernel_host=f"10.0.{rng.randrange(256)}.{at}",
        kernel_port=30_000 + at,
        status="running",
    )
