"""The summary: what an event says, in a few words for a person."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from events.endpoint import EndpointCreatedEvent, EndpointHealthCheckUpdatedEvent
from events.event import Event
from events.health_check import HealthCheck
from events.model_service import ModelServiceStatusEvent
from events.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteFailedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
)
from events.terminal.output import short_id


def summary(event: Event) -> str:
    """Return what *event* says beside its name and its endpoint."""
    says = _SAYS.get(type(event))
    return "" if says is None else says(event)


def address(host: str | None, port: int | None) -> str | None:
    """Return `host:port`, with the brackets that an IPv6 host needs; None unless both are known."""
    if host is None or port is None:
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _checked(health_check: HealthCheck | None) -> str:
    if health_check is None:
        return "no health check"
    return f"health check {health_check.path} every {health_check.interval:g}s"


def _counted(routes: tuple[RouteRecord, ...]) -> str:
    if not routes:
        return "no routes"
    counted = Counter(route.status for route in routes)
    listed = ", ".join(f"{count} {status}" for status, count in counted.most_common())
    return f"{len(routes)} route{'s' if len(routes) > 1 else ''}: {listed}"


def _observed(event: ModelServiceStatusEvent) -> str:
    times = event.consecutive_failures
    after = f" after {times} failure{'s' if times > 1 else ''}" if times else ""
    reason = f": {event.reason}" if event.reason else ""
    return f"{short_id(event.route_id)} {event.new_status}{after}{reason}"


_SAYS: dict[type[Event], Callable[[Any], str]] = {
    EndpointCreatedEvent: lambda e: f"{e.name}: model {e.model}, {_checked(e.health_check)}",
    EndpointHealthCheckUpdatedEvent: lambda e: _checked(e.health_check),
    EndpointRouteListUpdatedEvent: lambda e: _counted(e.routes),
    RouteCreatedEvent: lambda e: f"{short_id(e.route.route_id)} {e.route.status}",
    RouteStartedEvent: lambda e: (
        f"{short_id(e.route_id)} at {address(e.kernel_host, e.kernel_port)}"
    ),
    RouteTerminatingEvent: lambda e: short_id(e.route_id),
    RouteFailedEvent: lambda e: ": ".join((short_id(e.route_id), *e.errors)),
    RouteTrafficRatioUpdatedEvent: lambda e: f"{short_id(e.route_id)} weight {e.traffic_ratio:g}",
    ModelServiceStatusEvent: _observed,
}
