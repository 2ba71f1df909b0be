"""Define the projection health-state: each route's health, since when, and its transitions."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from events.catalogue.endpoint import (
    EndpointCreatedEvent,
    EndpointDestroyedEvent,
    EndpointHealthCheckUpdatedEvent,
    EndpointReadyEvent,
    EndpointReplicasUpdatedEvent,
)
from events.catalogue.event import Event
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteDrainedEvent,
    RouteEvictionProposedEvent,
    RouteFailedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTerminatedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
)
from events.catalogue.route_flapping import RouteFlappingEvent
from events.entry.entry_id import START, EntryId
from events.entry.recorded import RecordedEvent
from projections.health_state.endpoint_health import (
    EndpointHealth,
    HealthDocument,
    RouteHealth,
    decode,
    encode,
)
from projections.health_state.health_runs import HealthRuns
from projections.health_state.transitions import STAMP, Transitions, content_of
from projections.projection import Projection
from projections.route_set import in_order, listed


def evolve(state: EndpointHealth, recorded: RecordedEvent) -> EndpointHealth:
    """Return the health after one more event; events may come in any order."""
    at = recorded.entry_id
    event = recorded.event
    if state.destroyed_at > START and not isinstance(event, EndpointDestroyedEvent):
        after = state
    else:
        change = _CHANGES.get(type(event))
        after = state if change is None else change(state, event, at)
    return _with_version(state, after, at)


def _gathered(route_id: UUID, found: Transitions, state: EndpointHealth) -> EndpointHealth:
    """Fold in many transitions of a route, as `evolve` does one by one."""
    at, after = found.newest_at, state
    if state.destroyed_at <= START:
        after = _with_route(state, route_id, at, lambda route: _observed(route, found))
    return _with_version(state, after, at)


def _with_version(before: EndpointHealth, after: EndpointHealth, at: EntryId) -> EndpointHealth:
    if at > after.version:
        return replace(after, version=at)
    return after if at > before.version or after != before else before


def _destroyed(
    state: EndpointHealth, _event: EndpointDestroyedEvent, at: EntryId
) -> EndpointHealth:
    first = min(at, state.destroyed_at) if state.destroyed_at > START else at
    return EndpointHealth(endpoint_id=state.endpoint_id, version=state.version, destroyed_at=first)


def _listed(
    state: EndpointHealth, event: EndpointRouteListUpdatedEvent, at: EntryId
) -> EndpointHealth:
    routes = listed(
        state.routes,
        {record.route_id: record for record in event.routes},
        at,
        newest_at=state.list_at,
        present=_present,
        absent=_absent,
        fresh=_unknown_route,
    )
    return replace(state, routes=routes, list_at=max(state.list_at, at))


def _route_created(state: EndpointHealth, event: RouteCreatedEvent, at: EntryId) -> EndpointHealth:
    record = event.route
    return _with_route(state, record.route_id, at, lambda route: _present(route, record, at))


def _route_started(state: EndpointHealth, event: RouteStartedEvent, at: EntryId) -> EndpointHealth:
    return _with_route(
        state,
        event.route_id,
        at,
        lambda route: replace(route, started_at=max(route.started_at, at)),
    )


def _route_terminated(
    state: EndpointHealth, event: RouteTerminatedEvent, at: EntryId
) -> EndpointHealth:
    if event.remaining is None:
        return _with_route(state, event.route_id, at, lambda route: _gone(route, at))
    routes = listed(
        state.routes,
        dict.fromkeys(event.remaining),
        at,
        newest_at=state.list_at,
        present=lambda route, _, at: _kept(route, at),
        absent=_absent,
        fresh=_unknown_route,
    )
    return replace(state, routes=routes, list_at=max(state.list_at, at))


def _status_changed(
    state: EndpointHealth, event: ModelServiceStatusEvent, at: EntryId
) -> EndpointHealth:
    found = Transitions(
        STAMP.pack(*at), (content_of(event.new_status, event.reason, event.consecutive_failures),)
    )
    return _with_route(state, event.route_id, at, lambda route: _observed(route, found))


_CHANGES: dict[type[Event], Callable[[EndpointHealth, Any, EntryId], EndpointHealth]] = {
    EndpointDestroyedEvent: _destroyed,
    EndpointRouteListUpdatedEvent: _listed,
    RouteCreatedEvent: _route_created,
    RouteStartedEvent: _route_started,
    RouteTerminatedEvent: _route_terminated,
    ModelServiceStatusEvent: _status_changed,
}


def _with_route(
    state: EndpointHealth,
    route_id: UUID,
    at: EntryId,
    change: Callable[[RouteHealth], RouteHealth],
) -> EndpointHealth:
    """Change one route, unless the event at *at* came before the route's last absence."""
    known = state.routes.get(route_id)
    before = known or _unknown_route(route_id, state.list_at)
    if at <= before.absent_at:
        return state
    routes = {**state.routes, route_id: change(before)}
    if known is None:
        routes = in_order(routes)
    return replace(state, routes=routes, version=max(state.version, at))


def _unknown_route(route_id: UUID, absent_at: EntryId) -> RouteHealth:
    return RouteHealth(route_id=route_id, absent_at=absent_at)


def _observed(route: RouteHealth, found: Transitions) -> RouteHealth:
    packed = route.packed.merged(found.after(route.absent_at))
    return route if packed is route.packed else replace(route, packed=packed)


def _present(route: RouteHealth, record: RouteRecord, at: EntryId) -> RouteHealth:
    if at <= max(route.listed_at, route.absent_at):
        return route
    return replace(route, session_id=record.session_id, listed_at=at)


def _absent(route: RouteHealth, at: EntryId) -> RouteHealth | None:
    """Keep only what was recorded of the route after *at*."""
    if at <= route.absent_at:
        return route
    since: dict[str, Any] = {
        "packed": route.packed.after(at),
        "started_at": route.started_at if route.started_at > at else START,
        "kept_at": route.kept_at if route.kept_at > at else START,
    }
    if route.listed_at > at:
        return replace(route, absent_at=at, **since)
    remaining = replace(_unknown_route(route.route_id, at), **since)
    return None if remaining == _unknown_route(route.route_id, at) else remaining


def _gone(route: RouteHealth, at: EntryId) -> RouteHealth:
    return _absent(route, at) or _unknown_route(route.route_id, at)


def _kept(route: RouteHealth, at: EntryId) -> RouteHealth:
    return replace(route, kept_at=at) if at > max(route.kept_at, route.absent_at) else route


HEALTH_STATE = Projection(
    name="health-state",
    version=1,
    initial=lambda endpoint_id: EndpointHealth(endpoint_id=endpoint_id),
    evolve=evolve,
    document=HealthDocument,
    encode=encode,
    decode=decode,
    is_tombstone=lambda endpoint: endpoint.destroyed_at > START,
    newest_counts=frozenset({EndpointRouteListUpdatedEvent}),
    newest_of_endpoint=frozenset(
        {
            EndpointCreatedEvent,
            EndpointHealthCheckUpdatedEvent,
            EndpointReadyEvent,
            EndpointReplicasUpdatedEvent,
            RouteDrainedEvent,
            RouteEvictionProposedEvent,
            RouteFailedEvent,
            RouteFlappingEvent,
            RouteTerminatingEvent,
            RouteTrafficRatioUpdatedEvent,
        }
    ),
    gathering=partial(HealthRuns, _gathered),
)
