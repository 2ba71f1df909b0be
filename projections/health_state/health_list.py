"""List the health of all endpoints' routes over time, from the health-state documents alone.

The log is not read, so the cost does not depend on its length. A document holds a route's newest
`TRANSITIONS_MAX` transitions, its newest start, and since when it has ended. It does not hold any
earlier start, and once it has the maximum, the time before the oldest transition is unknown.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

import msgspec

from events.entry.entry_id import END, START, EntryId
from events.log.keys import partition_of
from events.log.log import EventLog
from events.log.partitions import ask_each
from projections.health_state.endpoint_health import EndpointHealth, RouteHealth
from projections.health_state.health_state import HEALTH_STATE
from projections.health_state.history import Condition, Interval, RouteHistory, Span, go_on
from projections.health_state.transitions import TRANSITIONS_MAX
from projections.read_model.missing_generation import no_live_generation
from projections.read_model.store import ReadModelStore
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import ENDED


async def read_documents(
    log: EventLog, endpoints: Iterable[UUID]
) -> dict[int, dict[UUID, EndpointHealth] | None]:
    """Return the live documents of *endpoints*, by their partitions.

    A partition without a live generation has None.
    """
    own: dict[int, list[str]] = {}
    for endpoint_id in endpoints:
        own.setdefault(partition_of(endpoint_id, log.partitions), []).append(str(endpoint_id))

    async def ask(partition: int) -> dict[UUID, EndpointHealth] | None:
        store = ReadModelStore(log.server, log.keys, HEALTH_STATE, partition)
        generation = await store.live_generation()
        if generation is None:
            return None
        loaded = await store.load(generation, own[partition])
        return {UUID(endpoint): state for endpoint, (_, state) in loaded.items()}

    return await ask_each(sorted(own), ask)


class HealthList(msgspec.Struct, frozen=True):
    """The health of the routes of many endpoints in a window.

    Attributes:
        window: The time; it begins no earlier than what is known of any of the endpoints.
        routes: The history of each endpoint's routes.
        cut: Endpoints with a route that changed more often in the window than is kept.
        left_out: Partitions without a live health state; *routes* lacks their endpoints.
    """

    window: Span
    routes: Mapping[UUID, list[RouteHistory]]
    cut: frozenset[UUID]
    left_out: list[int]


class _Mark(NamedTuple):
    at: EntryId
    condition: Condition
    reason: str | None = None
    is_transition: bool = False


async def read_health_list(
    log: EventLog, endpoints: Iterable[Endpoint], since: EntryId, now_ms: int
) -> HealthList:
    """Return the health of *endpoints* from *since* to now, from the documents alone.

    Raises:
        NoLiveGenerationError: The health state of none of their partitions is live.
    """
    wanted = {endpoint.endpoint_id: endpoint for endpoint in endpoints}
    documents = await read_documents(log, wanted)
    left_out = [partition for partition, held in documents.items() if held is None]
    if documents and len(left_out) == len(documents):
        raise await no_live_generation(
            log.server.client.call, log.keys, HEALTH_STATE, range(log.partitions)
        )
    routes: dict[UUID, list[RouteHealth]] = {endpoint_id: [] for endpoint_id in wanted}
    for held in documents.values():
        for endpoint_id, state in (held or {}).items():
            routes[endpoint_id] = [route for route in state.routes.values() if not route.is_gone]
    known = [
        at for endpoint_id, own in routes.items() for at in _first_known(wanted[endpoint_id], own)
    ]
    start = max(since, min(known, default=EntryId(now_ms, 0)))
    start_ms = min(start.ms, now_ms)
    window = Span(start_ms, max(now_ms, start_ms + 1))
    return HealthList(
        window=window,
        routes={
            endpoint_id: [kept_history(wanted[endpoint_id], route, start, window) for route in own]
            for endpoint_id, own in routes.items()
            if partition_of(endpoint_id, log.partitions) not in left_out
        },
        cut=frozenset(
            endpoint_id
            for endpoint_id, own in routes.items()
            if any(_is_cut(route, start) for route in own)
        ),
        left_out=left_out,
    )


def kept_history(
    endpoint: Endpoint, route: RouteHealth, start: EntryId, window: Span
) -> RouteHistory:
    """Return the history of *route* in *window*, which begins at *start*, as far as it is kept."""
    before: Condition = "unknown" if endpoint.created_at == START else "absent"
    intervals = [Interval(before, window)]
    changes = 0
    for mark in sorted(_marks(endpoint, route), key=lambda mark: mark.at):
        if mark.condition == intervals[-1].condition:
            continue
        if mark.at < start:
            intervals = [Interval(mark.condition, window)]
        else:
            go_on(intervals, mark.condition, mark.at, mark.reason)
            changes += mark.is_transition
    return RouteHistory(route.route_id, [kept for kept in intervals if kept.ms], changes)


def _marks(endpoint: Endpoint, route: RouteHealth) -> Iterator[_Mark]:
    """Yield each condition of the route with its begin; after its end nothing counts."""
    in_table = endpoint.routes.get(route.route_id)
    has_ended = in_table is not None and in_table.status in ENDED
    ended_at = in_table.status_since if in_table is not None and has_ended else END
    if endpoint.created_at > START:
        yield _Mark(endpoint.created_at, "unknown")
    yield from (mark for mark in _checked(route) if mark.at < ended_at)
    if ended_at < END:
        yield _Mark(ended_at, "ended")


def _checked(route: RouteHealth) -> list[_Mark]:
    packed = route.packed
    marks = [
        _Mark(transition.at, transition.new_status, transition.reason, is_transition=True)
        for transition in packed
    ]
    # At the maximum there may have been older transitions, which are not kept.
    kept_from = packed.oldest_at if len(packed) == TRANSITIONS_MAX else START
    if route.started_at > kept_from:
        marks.append(_Mark(route.started_at, "not_checked"))
    is_first = all(route.listed_at < mark.at for mark in marks)
    if kept_from == START < route.listed_at and is_first:
        marks.append(_Mark(route.listed_at, "not_checked"))
    return marks


def _first_known(endpoint: Endpoint, routes: Iterable[RouteHealth]) -> Iterator[EntryId]:
    """Yield entries before which nothing is known of the endpoint."""
    if endpoint.created_at > START:
        yield endpoint.created_at
        return
    for route in routes:
        yield from (mark.at for mark in _checked(route))


def _is_cut(route: RouteHealth, start: EntryId) -> bool:
    return len(route.packed) == TRANSITIONS_MAX and route.packed.oldest_at > start
