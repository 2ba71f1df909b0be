"""Lists what a decision would change in an endpoint, from which value to which."""

from collections.abc import Iterator

import msgspec

from consumers.cli.terminal.event_summary import labels_text, owner_text, split_text
from events.catalogue.health_check import HealthCheck, shown_fields
from producers.endpoints.decisions import Decision
from producers.endpoints.remarks import after_decision
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route

Step = tuple[str, str, str]
"""What changes, its value before, and its value after."""


def changed_fields(before: Endpoint, decision: Decision) -> list[Step]:
    """Return the differences that *decision* makes to *before*, as a person reads them."""
    after = after_decision(before, decision)
    return [
        *_of_endpoint(before, after),
        *_of_routes(
            {route.route_id: route for route in before.present_routes},
            {route.route_id: route for route in after.present_routes},
        ),
    ]


def _of_endpoint(before: Endpoint, after: Endpoint) -> Iterator[Step]:
    if after.name != before.name:
        yield "endpoint", "none", f"{after.name} (model {after.model}, {after.runtime_variant})"
        if owner := owner_text(after.owner):
            yield "owner", "none", owner
        if labels := labels_text(after.labels):
            yield "labels", "none", labels
    if after.health_check != before.health_check:
        yield "health check", _check(before.health_check), _check(after.health_check)
    if switch_in_words(after) != switch_in_words(before):
        yield "traffic", switch_in_words(before), switch_in_words(after)
    if split_in_words(after) != split_in_words(before):
        yield "traffic split", split_in_words(before), split_in_words(after)
    if after.replicas != before.replicas:
        yield "replicas", _number(before.replicas), _number(after.replicas)
    if after.is_destroyed and not before.is_destroyed:
        yield "endpoint", before.name or str(before.endpoint_id), "destroyed"


def _of_routes(before: dict[object, Route], after: dict[object, Route]) -> Iterator[Step]:
    for route_id in before.keys() - after.keys():
        yield f"route {route_id}", _route(before[route_id]), "removed"
    for route_id, route in after.items():
        known = before.get(route_id)
        if known is None:
            yield f"route {route_id}", "none", _route(route)
        elif _route(known) != _route(route):
            yield f"route {route_id}", _route(known), _route(route)


def _number(count: int | None) -> str:
    return "not said" if count is None else str(count)


def _check(health_check: HealthCheck | None) -> str:
    if health_check is None:
        return "none"
    return msgspec.json.encode(shown_fields(health_check)).decode()


def _route(route: Route) -> str:
    address = "no address"
    if route.kernel_host is not None and route.kernel_port is not None:
        address = f"{route.kernel_host}:{route.kernel_port}"
    switch = "" if route.traffic_status == "active" else f", {switch_in_words(route)}"
    labels = f", {labels_text(route.labels)}" if route.labels else ""
    weight = f"weight {route.traffic_ratio:g}"
    return f"{address}, {route.status}, {route.health}, {weight}{switch}{labels}"


def split_in_words(endpoint: Endpoint) -> str:
    """Return how its traffic is split between revisions, and the reason given."""
    split = split_text(endpoint.split, endpoint.rollout)
    return ": ".join(filter(None, (split, endpoint.split_reason)))


def switch_in_words(of: Endpoint | Route) -> str:
    """Return whether its traffic is switched on, and the reason given."""
    return ": ".join(filter(None, (of.traffic_status, of.traffic_reason)))
