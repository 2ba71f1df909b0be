"""Define the projection route-table: what AppProxy routes by, and what explains it."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from msgspec.structs import replace

from events.catalogue.endpoint import (
    EndpointCreatedEvent,
    EndpointDestroyedEvent,
    EndpointHealthCheckUpdatedEvent,
)
from events.catalogue.event import Event
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteFailedEvent,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
    TrafficSwitchedEvent,
)
from events.catalogue.traffic_split import TrafficSplitUpdatedEvent
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from projections.projection import Projection
from projections.route_set import in_order, listed
from projections.route_table.endpoint import Document, Endpoint, decode, encode
from projections.route_table.route import (
    NOT_CHECKED,
    Route,
    absent,
    present,
    unknown_route,
    with_status,
)

Switched = TypeVar("Switched", Endpoint, Route)


def evolve(state: Endpoint, recorded: RecordedEvent) -> Endpoint:
    """Return the endpoint after one more event; events may come in any order."""
    at = recorded.entry_id
    event = recorded.event
    if state.is_destroyed:
        after = _evolve_destroyed(state, event, at)
    else:
        change = _CHANGES.get(type(event))
        after = state if change is None else change(state, event, at)
    if at > after.version:
        return replace(after, version=at)
    return after if at > state.version or after != state else state


def _evolve_destroyed(state: Endpoint, event: Event, at: EntryId) -> Endpoint:
    """Keep of a destroyed endpoint only its description and when it was first destroyed."""
    if isinstance(event, EndpointCreatedEvent):
        return _described(state, event, at)
    if isinstance(event, EndpointDestroyedEvent):
        return replace(state, destroyed_at=min(state.destroyed_at, at))
    return state


def _created(state: Endpoint, event: EndpointCreatedEvent, at: EntryId) -> Endpoint:
    state = _described(state, event, at)
    return _checked(state, event, at)


def _described(state: Endpoint, event: EndpointCreatedEvent, at: EntryId) -> Endpoint:
    if at <= state.created_at:
        return state
    return replace(
        state,
        name=event.name,
        model=event.model,
        runtime_variant=event.runtime_variant,
        open_to_public=event.open_to_public,
        owner=event.owner,
        labels=event.labels,
        created_at=at,
    )


def _checked(
    state: Endpoint, event: EndpointCreatedEvent | EndpointHealthCheckUpdatedEvent, at: EntryId
) -> Endpoint:
    if at <= state.health_check_at:
        return state
    return replace(state, health_check=event.health_check, health_check_at=at)


def _destroyed(state: Endpoint, _event: EndpointDestroyedEvent, at: EntryId) -> Endpoint:
    return replace(
        Endpoint(endpoint_id=state.endpoint_id),
        version=state.version,
        name=state.name,
        model=state.model,
        runtime_variant=state.runtime_variant,
        open_to_public=state.open_to_public,
        owner=state.owner,
        labels=state.labels,
        created_at=state.created_at,
        destroyed_at=at,
    )


def _listed(state: Endpoint, event: EndpointRouteListUpdatedEvent, at: EntryId) -> Endpoint:
    routes = listed(
        state.routes,
        event.routes,
        at,
        newest_at=state.list_at,
        present=present,
        absent=absent,
        fresh=unknown_route,
    )
    return replace(state, routes=routes, list_at=max(state.list_at, at))


def _route_created(state: Endpoint, event: RouteCreatedEvent, at: EntryId) -> Endpoint:
    return _with_route(
        state, event.route.route_id, at, lambda route: present(route, event.route, at)
    )


def _route_started(state: Endpoint, event: RouteStartedEvent, at: EntryId) -> Endpoint:
    def started(route: Route) -> Route:
        if at > max(route.address_at, route.listed_at):
            route = replace(
                route,
                session_id=event.session_id,
                app=event.app,
                kernel_host=event.kernel_host,
                kernel_port=event.kernel_port,
                protocol=event.protocol,
                address_at=at,
            )
        if event.labels is not None and at > max(route.labels_at, route.listed_at):
            route = replace(route, labels=event.labels, labels_at=at)
        return _restarted(with_status(route, "running", at), at)

    return _with_route(state, event.route_id, at, started)


def _restarted(route: Route, at: EntryId) -> Route:
    """Start another process: health recorded before the start no longer counts."""
    if at <= route.started_at:
        return route
    if at < route.health_at:
        return replace(route, started_at=at)
    return replace(route, started_at=at, **NOT_CHECKED)


def _route_terminating(state: Endpoint, event: RouteTerminatingEvent, at: EntryId) -> Endpoint:
    return _with_route(state, event.route_id, at, lambda r: with_status(r, "terminating", at))


def _route_failed(state: Endpoint, event: RouteFailedEvent, at: EntryId) -> Endpoint:
    return _with_route(
        state, event.route_id, at, lambda r: with_status(r, "failed", at, event.errors)
    )


def _ratio_updated(state: Endpoint, event: RouteTrafficRatioUpdatedEvent, at: EntryId) -> Endpoint:
    def weighted(route: Route) -> Route:
        if at <= max(route.ratio_at, route.listed_at):
            return route
        return replace(route, traffic_ratio=event.traffic_ratio, ratio_at=at)

    return _with_route(state, event.route_id, at, weighted)


def _traffic_switched(state: Endpoint, event: TrafficSwitchedEvent, at: EntryId) -> Endpoint:
    def switched(of: Switched) -> Switched:
        if at <= of.traffic_at:
            return of
        return replace(
            of,
            traffic_status=event.traffic_status,
            traffic_reason=event.reason,
            traffic_at=at,
        )

    if event.route_id is None:
        return switched(state)
    return _with_route(state, event.route_id, at, switched)


def _split(state: Endpoint, event: TrafficSplitUpdatedEvent, at: EntryId) -> Endpoint:
    if at <= state.split_at:
        return state
    return replace(
        state, split=event.shares, split_reason=event.reason, rollout=event.rollout, split_at=at
    )


def _status_changed(state: Endpoint, event: ModelServiceStatusEvent, at: EntryId) -> Endpoint:
    def observed(route: Route) -> Route:
        if at <= max(route.health_at, route.started_at):
            return route
        return replace(
            route,
            health=event.new_status,
            health_reason=event.reason,
            consecutive_failures=event.consecutive_failures,
            health_at=at,
        )

    return _with_route(state, event.route_id, at, observed)


_CHANGES: dict[type[Event], Callable[[Endpoint, Any, EntryId], Endpoint]] = {
    EndpointCreatedEvent: _created,
    EndpointHealthCheckUpdatedEvent: _checked,
    EndpointDestroyedEvent: _destroyed,
    EndpointRouteListUpdatedEvent: _listed,
    RouteCreatedEvent: _route_created,
    RouteStartedEvent: _route_started,
    RouteTerminatingEvent: _route_terminating,
    RouteFailedEvent: _route_failed,
    RouteTrafficRatioUpdatedEvent: _ratio_updated,
    TrafficSwitchedEvent: _traffic_switched,
    TrafficSplitUpdatedEvent: _split,
    ModelServiceStatusEvent: _status_changed,
}


def _with_route(
    state: Endpoint, route_id: UUID, at: EntryId, change: Callable[[Route], Route]
) -> Endpoint:
    """Change one route, unless the event at *at* came before the route's last absence."""
    known = state.routes.get(route_id)
    before = known or unknown_route(route_id, state.list_at)
    after = change(before) if at > before.absent_at else before
    if after is before:
        return state
    routes = {**state.routes, route_id: after}
    if known is None:
        routes = in_order(routes)
    return replace(state, routes=routes, version=max(state.version, at))


ROUTE_TABLE = Projection(
    name="route-table",
    version=1,
    initial=lambda endpoint_id: Endpoint(endpoint_id=endpoint_id),
    evolve=evolve,
    document=Document,
    encode=encode,
    decode=decode,
    is_tombstone=lambda endpoint: endpoint.is_destroyed,
    newest_counts=frozenset(
        {
            EndpointHealthCheckUpdatedEvent,
            EndpointRouteListUpdatedEvent,
            ModelServiceStatusEvent,
            RouteFailedEvent,
            RouteTerminatingEvent,
            RouteTrafficRatioUpdatedEvent,
        }
    ),
)
