"""What each event of one route changes in the route, in whatever order the events come."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from events.catalogue.event import Event
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    RouteDrainedEvent,
    RouteEvictionProposedEvent,
    RouteFailedEvent,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
    TrafficSwitchedEvent,
)
from events.catalogue.route_flapping import RouteFlappingEvent
from events.entry.entry_id import EntryId
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import NOT_CHECKED, Route, ended, running

RouteChange = Callable[[Route, Any, EntryId], Route]
"""Returns a route after an event that was recorded at a stamp."""

Switched = TypeVar("Switched", Endpoint, Route)


def started(route: Route, event: RouteStartedEvent, at: EntryId) -> Route:
    """Give it the address of its session, and begin its grace."""
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
    return _restarted(running(route, at), at)


def _restarted(route: Route, at: EntryId) -> Route:
    """Start another process: health recorded before the start no longer counts."""
    if at <= route.started_at:
        return route
    if at < route.health_at:
        return replace(route, started_at=at)
    return replace(route, started_at=at, **NOT_CHECKED)


def terminating(route: Route, event: RouteTerminatingEvent, at: EntryId) -> Route:
    """Give it no new traffic, and let it drain."""
    return ended(route, "terminating", at, status_reason=event.reason, drain_s=event.drain_s)


def drained(route: Route, event: RouteDrainedEvent, at: EntryId) -> Route:
    """End its drain."""
    if at <= route.drained_at:
        return route
    return replace(route, drained_at=at, drained_reason=event.reason)


def failed(route: Route, event: RouteFailedEvent, at: EntryId) -> Route:
    """End it with its errors."""
    return ended(route, "failed", at, errors=event.errors)


def eviction_proposed(route: Route, event: RouteEvictionProposedEvent, at: EntryId) -> Route:
    """Remember that somebody should replace it."""
    if at <= route.eviction_at:
        return route
    return replace(route, eviction_at=at, eviction_reason=event.reason)


def weighted(route: Route, event: RouteTrafficRatioUpdatedEvent, at: EntryId) -> Route:
    """Set its weight."""
    if at <= max(route.ratio_at, route.listed_at):
        return route
    return replace(route, traffic_ratio=event.traffic_ratio, ratio_at=at)


def switched(of: Switched, event: TrafficSwitchedEvent, at: EntryId) -> Switched:
    """Switch the traffic of a route, or of an endpoint."""
    if at <= of.traffic_at:
        return of
    return replace(
        of, traffic_status=event.traffic_status, traffic_reason=event.reason, traffic_at=at
    )


def observed(route: Route, event: ModelServiceStatusEvent, at: EntryId) -> Route:
    """Set its health."""
    if at <= max(route.health_at, route.started_at):
        return route
    return replace(
        route,
        health=event.new_status,
        health_reason=event.reason,
        consecutive_failures=event.consecutive_failures,
        health_at=at,
    )


def flapped(route: Route, event: RouteFlappingEvent, at: EntryId) -> Route:
    """Hold it unhealthy, or no more; a restart does not end that."""
    if at <= route.flapping_at:
        return route
    return replace(route, flapping=event.flapping, flapping_reason=event.reason, flapping_at=at)


ROUTE_CHANGES: Mapping[type[Event], RouteChange] = {
    RouteStartedEvent: started,
    RouteTerminatingEvent: terminating,
    RouteDrainedEvent: drained,
    RouteEvictionProposedEvent: eviction_proposed,
    RouteTrafficRatioUpdatedEvent: weighted,
    ModelServiceStatusEvent: observed,
    RouteFlappingEvent: flapped,
}
"""The events that change one route and nothing else."""
