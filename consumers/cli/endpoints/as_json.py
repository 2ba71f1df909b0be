"""The printed endpoint: an endpoint as JSON for a program."""

from typing import Any

import msgspec

from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import START, EntryId
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.traffic import Traffic, address_since, ratio_since, traffic_of

ENDPOINT_FIELDS = (
    *("endpoint_id", "name", "model", "runtime_variant", "open_to_public", "health_check"),
    *("version", "revision", "created_at", "health_check_at", "destroyed_at", "list_at", "routes"),
)


def as_json(revision: int, endpoint: Endpoint) -> dict[str, Any]:
    """Return the `ENDPOINT_FIELDS`; a stamp is `<ms>-<seq>`, null where it never was set."""
    traffic = traffic_of(endpoint)
    return {
        "endpoint_id": str(endpoint.endpoint_id),
        "name": endpoint.name,
        "model": endpoint.model,
        "runtime_variant": endpoint.runtime_variant,
        "open_to_public": endpoint.open_to_public,
        "health_check": _health_check(endpoint.health_check),
        "version": str(endpoint.version),
        "revision": revision,
        "created_at": _stamp(endpoint.created_at),
        "health_check_at": _stamp(endpoint.health_check_at),
        "destroyed_at": _stamp(endpoint.destroyed_at),
        "list_at": _stamp(endpoint.list_at),
        "routes": [_route(route, traffic[route.route_id]) for route in endpoint.present_routes],
    }


def _health_check(health_check: HealthCheck | None) -> dict[str, Any] | None:
    if health_check is None:
        return None
    given: dict[str, Any] = msgspec.to_builtins(health_check)
    if health_check.initial_delay is None:
        del given["initial_delay"]
    return given


def _route(route: Route, gets: Traffic) -> dict[str, Any]:
    return {
        "route_id": str(route.route_id),
        "session_id": None if route.session_id is None else str(route.session_id),
        "app": route.app,
        "kernel_host": route.kernel_host,
        "kernel_port": route.kernel_port,
        "protocol": route.protocol,
        "traffic_ratio": route.traffic_ratio,
        "status": route.status,
        "health": route.health,
        "errors": list(route.errors),
        "health_reason": route.health_reason,
        "consecutive_failures": route.consecutive_failures,
        "listed_at": _stamp(route.listed_at),
        "address_at": _stamp(address_since(route)),
        "ratio_at": _stamp(ratio_since(route)),
        "status_at": _stamp(route.status_since),
        "started_at": _stamp(route.started_at),
        "health_at": _stamp(route.health_at),
        "routable": gets.why_not is None,
        "share": gets.share,
        "why_not": gets.why_not,
        "decided_at": _stamp(gets.decided_at),
    }


def _stamp(at: EntryId) -> str | None:
    return None if at <= START else str(at)
