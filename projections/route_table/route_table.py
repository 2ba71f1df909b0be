"""Define the projection route-table: what AppProxy routes by, and what explains it."""

from collections.abc import Callable
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
    RouteTerminatedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
    TrafficSwitchedEvent,
)
from events.catalogue.route_flapping import RouteFlappingEvent
from events.catalogue.traffic_split import TrafficSplitUpdatedEvent
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from projections.projection import Projection
from projections.route_set import in_order, listed
from projections.route_table.endpoint import Document, Endpoint, decode, encode, failures_after
from projections.route_table.route import Route, absent, gone, kept, present, unknown_route
from projections.route_table.route_changes import ROUTE_CHANGES, RouteChange, failed, switched


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
        {record.route_id: record for record in event.routes},
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


def _route_terminated(state: Endpoint, event: RouteTerminatedEvent, at: EntryId) -> Endpoint:
    if event.remaining is None:
        return _with_route(state, event.route_id, at, lambda route: gone(route, at))
    routes = listed(
        state.routes,
        dict.fromkeys(event.remaining),
        at,
        newest_at=state.list_at,
        present=lambda route, _, at: kept(route, at),
        absent=absent,
        fresh=unknown_route,
    )
    return replace(state, routes=routes, list_at=max(state.list_at, at))


def _route_failed(state: Endpoint, event: RouteFailedEvent, at: EntryId) -> Endpoint:
    if event.during in {"provisioning", "warming_up"}:
        failures = failures_after(state.ready_at, (*state.failures, at))
        state = state if failures == state.failures else replace(state, failures=failures)
    return _with_route(state, event.route_id, at, lambda route: failed(route, event, at))


def _replicas_updated(
    state: Endpoint, event: EndpointReplicasUpdatedEvent, at: EntryId
) -> Endpoint:
    if at <= state.replicas_at:
        return state
    return replace(state, replicas=event.replicas, replicas_at=at)


def _ready(state: Endpoint, _event: EndpointReadyEvent, at: EntryId) -> Endpoint:
    if at <= state.ready_at:
        return state
    return replace(state, ready_at=at, failures=failures_after(at, state.failures))


def _traffic_switched(state: Endpoint, event: TrafficSwitchedEvent, at: EntryId) -> Endpoint:
    if event.route_id is None:
        return switched(state, event, at)
    return _with_route(state, event.route_id, at, lambda route: switched(route, event, at))


def _split(state: Endpoint, event: TrafficSplitUpdatedEvent, at: EntryId) -> Endpoint:
    if at <= state.split_at:
        return state
    return replace(
        state, split=event.shares, split_reason=event.reason, rollout=event.rollout, split_at=at
    )


def _of_route(change: RouteChange) -> Callable[[Endpoint, Any, EntryId], Endpoint]:
    def changed(state: Endpoint, event: Any, at: EntryId) -> Endpoint:  # noqa: ANN401 - its type is the table's
        return _with_route(state, event.route_id, at, lambda route: change(route, event, at))

    return changed


_CHANGES: dict[type[Event], Callable[[Endpoint, Any, EntryId], Endpoint]] = {
    **{kind: _of_route(change) for kind, change in ROUTE_CHANGES.items()},
    EndpointCreatedEvent: _created,
    EndpointHealthCheckUpdatedEvent: _checked,
    EndpointDestroyedEvent: _destroyed,
    EndpointRouteListUpdatedEvent: _listed,
    RouteCreatedEvent: _route_created,
    RouteTerminatedEvent: _route_terminated,
    RouteFailedEvent: _route_failed,
    EndpointReplicasUpdatedEvent: _replicas_updated,
    EndpointReadyEvent: _ready,
    TrafficSwitchedEvent: _traffic_switched,
    TrafficSplitUpdatedEvent: _split,
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
            EndpointReadyEvent,
            EndpointReplicasUpdatedEvent,
            EndpointRouteListUpdatedEvent,
            ModelServiceStatusEvent,
            RouteDrainedEvent,
            RouteEvictionProposedEvent,
            RouteFlappingEvent,
            RouteTerminatingEvent,
            RouteTrafficRatioUpdatedEvent,
        }
    ),
)
