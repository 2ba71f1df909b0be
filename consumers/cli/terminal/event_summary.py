"""Summarises events in a few words for a person."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from consumers.cli.terminal.output import shown_id
from events.catalogue.endpoint import (
    EndpointCreatedEvent,
    EndpointHealthCheckUpdatedEvent,
    Owner,
)
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
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
    TrafficSwitchedEvent,
)
from events.catalogue.route_flapping import RouteFlappingEvent
from events.catalogue.traffic_split import Rollout, TrafficSplitUpdatedEvent

_ShowId = Callable[[object], str]


def summary(event: Event, *, wide: bool = False) -> str:
    """Return *event* in words, without its name and endpoint; a *wide* text has whole ids."""
    says = _SAYS.get(type(event), _all_fields)
    return says(event, partial(shown_id, wide=wide))


def address(host: str | None, port: int | None) -> str | None:
    """Return `host:port`, with the brackets that an IPv6 host needs; None unless both are known."""
    if host is None or port is None:
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def labels_text(labels: Mapping[str, str] | None) -> str | None:
    """Return labels as a person gives them, sorted: `role=decode, zone=a`; None for no labels."""
    return ", ".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or None


def owner_text(owner: Owner | None) -> str | None:
    """Return what is known of an owner: `domain default, user kim`; None for nothing."""
    if owner is None:
        return None
    parts = (("domain", owner.domain), ("project", owner.project), ("user", owner.user))
    return ", ".join(f"{name} {part}" for name, part in parts if part is not None) or None


def _created(event: EndpointCreatedEvent, _: _ShowId) -> str:
    parts = [f"model {event.model}", _checked(event.health_check)]
    further = (owner_text(event.owner), labels_text(event.labels))
    return f"{event.name}: {', '.join([*parts, *filter(None, further)])}"


def _checked(health_check: HealthCheck | None) -> str:
    if health_check is None:
        return "no health check"
    return f"health check {asked_in_words(health_check)} every {health_check.interval:g}s"


def asked_in_words(health_check: HealthCheck) -> str:
    """Return what a probe asks for, without the headers, which may be secrets."""
    if health_check.kind == "tcp":
        asked = "TCP connect"
    elif health_check.kind == "grpc":
        asked = f"gRPC health{health_check.service and f' of {health_check.service}'}"
    else:
        method = "" if health_check.method == "GET" else f"{health_check.method} "
        asked = f"{method}{health_check.path}"
    return f"{asked} over TLS" if health_check.tls else asked


def _counted(routes: tuple[RouteRecord, ...]) -> str:
    if not routes:
        return "no routes"
    counted = Counter(route.status for route in routes)
    listed = ", ".join(f"{count} {status}" for status, count in counted.most_common())
    return f"{len(routes)} route{'s' if len(routes) > 1 else ''}: {listed}"


def _labelled(labels: Mapping[str, str] | None) -> str:
    return f", {labels_text(labels)}" if labels else ""


def _observed(event: ModelServiceStatusEvent, show: _ShowId) -> str:
    times = event.consecutive_failures
    after = f" after {times} failure{'s' if times > 1 else ''}" if times else ""
    return f"{show(event.route_id)} {event.new_status}{after}{because(event.reason)}"


def _flapping(event: RouteFlappingEvent, show: _ShowId) -> str:
    words = "flaps" if event.flapping else "flaps no more"
    return f"{show(event.route_id)} {words}{because(event.reason)}"


def _switched(event: TrafficSwitchedEvent, show: _ShowId) -> str:
    of = "whole endpoint" if event.route_id is None else show(event.route_id)
    return f"{of} {event.traffic_status}{because(event.reason)}"


def _terminating(event: RouteTerminatingEvent, show: _ShowId) -> str:
    drain = "" if event.drain_s is None else f" drain {event.drain_s:g}s"
    return f"{show(event.route_id)}{drain}{because(event.reason)}"


def _terminated(event: RouteTerminatedEvent, show: _ShowId) -> str:
    remaining = "" if event.remaining is None else f", {len(event.remaining)} remain"
    return f"{show(event.route_id)}{remaining}{because(event.reason)}"


def _failed(event: RouteFailedEvent, show: _ShowId) -> str:
    during = "" if event.during is None else f" while {event.during.replace('_', ' ')}"
    return ": ".join((f"{show(event.route_id)}{during}", *event.errors))


def because(reason: str | None) -> str:
    """Return a reason to put behind what it explains, "" where there is none."""
    return f": {reason}" if reason else ""


def split_text(shares: Mapping[str, float], rollout: Rollout | None = None) -> str:
    """Return a traffic split in words, such as `v1 95%, v2 5%; then v2 50%, 100%, each after 60s`.

    Routes without a revision are `(none)`.
    """
    total = sum(shares.values())
    parts = [
        f"{revision or '(none)'} {100 * share / total if total else 0:.4g}%"
        for revision, share in shares.items()
    ]
    text = ", ".join(parts) or "not split"
    if rollout is None or not rollout.percents:
        return text
    steps = ", ".join(f"{percent:.4g}%" for percent in rollout.percents)
    return f"{text}; then {rollout.to or '(none)'} {steps}, each after {rollout.every_s:g}s"


def _split(event: TrafficSplitUpdatedEvent, _: _ShowId) -> str:
    reason = f": {event.reason}" if event.reason else ""
    return f"{split_text(event.shares, event.rollout)}{reason}"


def _all_fields(event: Event, show: _ShowId) -> str:
    """List the fields of an event without a summary of its own; ids stand without a name."""
    held = {name: getattr(event, name) for name in event.__struct_fields__ if name != "endpoint_id"}
    return ", ".join(
        show(value) if isinstance(value, UUID) else f"{name.replace('_', ' ')} {_in_text(value)}"
        for name, value in held.items()
        if value is not None
    )


def _in_text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()


_SAYS: dict[type[Event], Callable[[Any, _ShowId], str]] = {
    EndpointCreatedEvent: _created,
    EndpointHealthCheckUpdatedEvent: lambda e, _: _checked(e.health_check),
    EndpointRouteListUpdatedEvent: lambda e, _: _counted(e.routes),
    RouteCreatedEvent: lambda e, show: (
        f"{show(e.route.route_id)} {e.route.status}{_labelled(e.route.labels)}"
    ),
    RouteStartedEvent: lambda e, show: (
        f"{show(e.route_id)} at {address(e.kernel_host, e.kernel_port)}{_labelled(e.labels)}"
    ),
    RouteTerminatingEvent: _terminating,
    RouteDrainedEvent: lambda e, show: f"{show(e.route_id)}{because(e.reason)}",
    RouteTerminatedEvent: _terminated,
    RouteFailedEvent: _failed,
    RouteEvictionProposedEvent: lambda e, show: f"{show(e.route_id)}: {e.reason}",
    RouteTrafficRatioUpdatedEvent: lambda e, show: f"{show(e.route_id)} weight {e.traffic_ratio:g}",
    TrafficSwitchedEvent: _switched,
    TrafficSplitUpdatedEvent: _split,
    ModelServiceStatusEvent: _observed,
    RouteFlappingEvent: _flapping,
}
"""Summaries of the types for which a list of the fields would read badly."""
