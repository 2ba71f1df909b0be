"""Decide which events a command leads to, given the endpoint's state.

Each function is pure. It returns no event where the state already is as requested, and raises
where the state does not allow the command.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from events.catalogue.endpoint import (
    EndpointCreatedEvent,
    EndpointDestroyedEvent,
    EndpointHealthCheckUpdatedEvent,
)
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus, ModelServiceStatusEvent
from events.catalogue.route import (
    ROUTES_MAX,
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
    TrafficStatus,
    TrafficSwitchedEvent,
)
from events.catalogue.route_flapping import RouteFlappingEvent
from events.entry import codec
from events.entry.entry_id import START
from events.errors import InvalidEventError
from producers.errors import (
    EndpointDestroyedError,
    EndpointExistsError,
    RouteEndedError,
    RouteExistsError,
    UnknownEndpointError,
    UnknownRouteError,
)
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import ENDED, Route

Decision = tuple[Event, ...]


def create(endpoint: Endpoint, event: EndpointCreatedEvent) -> Decision:
    """Create the endpoint."""
    if endpoint.is_destroyed:
        raise EndpointDestroyedError(endpoint.endpoint_id)
    if endpoint.version > START:
        raise EndpointExistsError(endpoint.endpoint_id)
    return checked(event)


def update_health_check(endpoint: Endpoint, health_check: HealthCheck | None) -> Decision:
    """Set how the endpoint's routes are checked; None: not at all."""
    existing(endpoint)
    if endpoint.health_check == health_check:
        return ()
    return checked(
        EndpointHealthCheckUpdatedEvent(endpoint_id=endpoint.endpoint_id, health_check=health_check)
    )


def set_route_list(endpoint: Endpoint, routes: Sequence[RouteRecord]) -> Decision:
    """Replace the endpoint's routes; this also records a start for each that begins to run."""
    existing(endpoint)
    updated = EndpointRouteListUpdatedEvent(
        endpoint_id=endpoint.endpoint_id,
        routes=tuple(sorted(routes, key=lambda route: route.route_id.int)),
    )
    if updated.routes == tuple(map(record_of, endpoint.present_routes)):
        return ()
    started = [
        _started(endpoint.endpoint_id, record)
        for record in updated.routes
        if record.status == "running"
        and record.has_address
        and not _runs(endpoint.routes.get(record.route_id), record)
    ]
    return checked(updated, *started)


def create_route(endpoint: Endpoint, record: RouteRecord) -> Decision:
    """Add a route that is provisioning."""
    existing(endpoint)
    present = endpoint.present_routes
    if any(route.route_id == record.route_id for route in present):
        raise RouteExistsError(endpoint.endpoint_id, record.route_id)
    if record.status != "provisioning":
        raise InvalidEventError("status", f"{record.status!r}, a new route is 'provisioning'")
    if len(present) >= ROUTES_MAX:
        raise InvalidEventError(
            "routes",
            f"the endpoint has {len(present)}, the limit is {ROUTES_MAX};"
            " set its route list to the routes that still exist",
        )
    return checked(RouteCreatedEvent(endpoint_id=endpoint.endpoint_id, route=record))


def start_route(endpoint: Endpoint, record: RouteRecord) -> Decision:
    """Record that the route's session runs at a known address.

    Its weight stays as it is, and so do its labels where *record* has none.
    """
    route = _living_route(endpoint, record.route_id)
    same_service = (record.protocol, record.app, record.labels or route.labels) == (
        route.protocol,
        route.app,
        route.labels,
    )
    if route.status == "running" and same_service and _runs(route, record):
        return ()
    return checked(_started(endpoint.endpoint_id, record))


def terminate_route(
    endpoint: Endpoint, route_id: UUID, *, reason: str | None = None, drain_s: float | None = None
) -> Decision:
    """Give the route no new traffic from now on, and let it drain for *drain_s* seconds."""
    decision = checked(
        RouteTerminatingEvent(
            endpoint_id=endpoint.endpoint_id, route_id=route_id, reason=reason, drain_s=drain_s
        )
    )
    return () if route_in(endpoint, route_id).status in ENDED else decision


def set_traffic_ratio(endpoint: Endpoint, route_id: UUID, traffic_ratio: float) -> Decision:
    """Set the route's weight."""
    route = route_in(endpoint, route_id)
    decision = checked(
        RouteTrafficRatioUpdatedEvent(
            endpoint_id=endpoint.endpoint_id, route_id=route_id, traffic_ratio=traffic_ratio
        )
    )
    return () if route.traffic_ratio == traffic_ratio else decision


def switch_traffic(
    endpoint: Endpoint,
    route_id: UUID | None,
    traffic_status: TrafficStatus,
    *,
    reason: str | None = None,
) -> Decision:
    """Switch the traffic of a route, or of the whole endpoint, on or off; weights stay."""
    existing(endpoint)
    switched = endpoint if route_id is None else route_in(endpoint, route_id)
    decision = checked(
        TrafficSwitchedEvent(
            endpoint_id=endpoint.endpoint_id,
            route_id=route_id,
            traffic_status=traffic_status,
            reason=reason,
        )
    )
    is_so = (switched.traffic_status, switched.traffic_reason) == (traffic_status, reason)
    return () if is_so else decision


def record_status(
    endpoint: Endpoint,
    route_id: UUID,
    new_status: ModelServiceStatus,
    *,
    observed_at: datetime | None = None,
    reason: str | None = None,
    consecutive_failures: int = 0,
) -> Decision:
    """Record a route's health, if it is a change; without *observed_at* it was observed now."""
    route = route_in(endpoint, route_id)
    decision = checked(
        ModelServiceStatusEvent(
            endpoint_id=endpoint.endpoint_id,
            route_id=route_id,
            session_id=route.session_id,
            new_status=new_status,
            reason=reason,
            observed_at=observed_at or datetime.now(UTC),
            consecutive_failures=consecutive_failures,
        )
    )
    return () if route.health == new_status else decision


def record_flapping(
    endpoint: Endpoint,
    route_id: UUID,
    *,
    flapping: bool,
    observed_at: datetime | None = None,
    reason: str | None = None,
) -> Decision:
    """Record that a route flaps, or does no more, if it is a change."""
    route = route_in(endpoint, route_id)
    decision = checked(
        RouteFlappingEvent(
            endpoint_id=endpoint.endpoint_id,
            route_id=route_id,
            flapping=flapping,
            reason=reason,
            observed_at=observed_at or datetime.now(UTC),
        )
    )
    return () if route.flapping == flapping else decision


def destroy(endpoint: Endpoint) -> Decision:
    """Destroy the endpoint, with all its routes."""
    existing(endpoint)
    return checked(EndpointDestroyedEvent(endpoint_id=endpoint.endpoint_id))


def record_of(route: Route) -> RouteRecord:
    """Return the route as a route list records it."""
    return RouteRecord(
        route_id=route.route_id,
        session_id=route.session_id,
        app=route.app,
        kernel_host=route.kernel_host,
        kernel_port=route.kernel_port,
        protocol=route.protocol,
        traffic_ratio=route.traffic_ratio,
        status=route.status,
        labels=route.labels,
    )


def _started(endpoint_id: UUID, record: RouteRecord) -> RouteStartedEvent:
    if record.kernel_host is None or record.kernel_port is None:
        raise InvalidEventError("kernel_host, kernel_port", "a started route has an address")
    return RouteStartedEvent(
        endpoint_id=endpoint_id,
        route_id=record.route_id,
        session_id=record.session_id,
        app=record.app,
        kernel_host=record.kernel_host,
        kernel_port=record.kernel_port,
        protocol=record.protocol,
        labels=record.labels or None,
    )


def _runs(route: Route | None, record: RouteRecord) -> bool:
    """Whether the route already runs in this session at this address."""
    return (
        route is not None
        and route.started_at > START
        and route.session_id == record.session_id
        and (route.kernel_host, route.kernel_port) == (record.kernel_host, record.kernel_port)
    )


def _living_route(endpoint: Endpoint, route_id: UUID) -> Route:
    route = route_in(endpoint, route_id)
    if route.status in ENDED:
        raise RouteEndedError(route_id, route.status)
    return route


def route_in(endpoint: Endpoint, route_id: UUID) -> Route:
    """Return the route; raise UnknownRouteError where the endpoint has none like it."""
    existing(endpoint)
    route = endpoint.routes.get(route_id)
    if route is None or route.listed_at <= START:
        raise UnknownRouteError(endpoint.endpoint_id, route_id)
    return route


def existing(endpoint: Endpoint) -> None:
    """Raise EndpointDestroyedError or UnknownEndpointError unless the endpoint exists."""
    if endpoint.is_destroyed:
        raise EndpointDestroyedError(endpoint.endpoint_id)
    if endpoint.version <= START:
        raise UnknownEndpointError(endpoint.endpoint_id)


def checked(*events: Event) -> Decision:
    """Return *events*; raise InvalidEventError where a field breaks its limit."""
    for event in events:
        codec.check(event)
    return events
