"""Read when each route was last probed: the log holds changes of health only, not single probes.

Health checkers keep the times beside the log, one sorted set for each partition.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from events.log.keys import Keys, partition_of
from events.log.log import EventLog
from events.server.reply import Ask, reply_or_none
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import (
    HealthAge,
    RouteKey,
    health_age_of,
    is_to_be_probed,
)

_ASKED_MAX = 1_000
"""Routes that one command asks about."""


def member_of(key: RouteKey) -> str:
    """Return the member of the sorted set that stands for a route."""
    return f"{key[0]}:{key[1]}"


def route_key(member: bytes) -> RouteKey | None:
    """Return the route that *member* stands for, None where it is not written as one."""
    endpoint, _, route = member.decode("ascii", "replace").partition(":")
    with suppress(ValueError):
        return UUID(endpoint), UUID(route)
    return None


async def read_probe_times(
    ask: Ask, keys: Keys, partition: int, routes: Sequence[RouteKey]
) -> dict[RouteKey, int]:
    """Return when each of *routes* was last probed, in ms by the server's clock.

    A route that no checker has probed is missing.
    """
    times: dict[RouteKey, int] = {}
    for start in range(0, len(routes), _ASKED_MAX):
        asked = routes[start : start + _ASKED_MAX]
        raw = await ask("ZMSCORE", keys.probed(partition), *map(member_of, asked))
        scores = reply_or_none(raw, list[float | None]) or []
        times |= {key: int(at) for key, at in zip(asked, scores, strict=False) if at is not None}
    return times


async def read_health_ages(
    log: EventLog, endpoints: Iterable[Endpoint], now: datetime
) -> dict[RouteKey, HealthAge]:
    """Return how old the health of the endpoints' routes is; see `health_age_of`.

    Args:
        log: The log of the endpoints.
        endpoints: Endpoints, each with its routes.
        now: The server's clock.

    Raises:
        ServerUnavailableError: The server cannot be reached.
        ServerRefusedError: The account may not read the times, or something else lies there.
    """
    wanted: dict[int, list[Endpoint]] = {}
    for endpoint in endpoints:
        wanted.setdefault(partition_of(endpoint.endpoint_id, log.partitions), []).append(endpoint)
    ages: dict[RouteKey, HealthAge] = {}
    for partition, own in wanted.items():
        routes = routes_to_probe(own)
        times = await read_probe_times(log.server.client.call, log.keys, partition, routes)
        ages |= ages_of(own, times, int(now.timestamp() * 1_000))
    return ages


def routes_to_probe(endpoints: Iterable[Endpoint]) -> list[RouteKey]:
    """Return the routes that health checkers have to look at."""
    return [
        (endpoint.endpoint_id, route.route_id)
        for endpoint in endpoints
        for route in endpoint.present_routes
        if is_to_be_probed(endpoint, route)
    ]


def ages_of(
    endpoints: Iterable[Endpoint], times: Mapping[RouteKey, int], now_ms: int
) -> dict[RouteKey, HealthAge]:
    """Return how old the health of the endpoints' routes is, given their last probes' times."""
    ages = {}
    for endpoint in endpoints:
        for route in endpoint.present_routes:
            key = (endpoint.endpoint_id, route.route_id)
            age = health_age_of(endpoint, route, times.get(key), now_ms)
            if age is not None:
                ages[key] = age
    return ages
