"""Explain each route's traffic: its share, why it gets none, and which event decided that."""

from collections.abc import Collection
from uuid import UUID

import msgspec

from events.entry.entry_id import EntryId
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import ENDED, Route
from projections.route_table.routing import is_reachable, routable


class Traffic(msgspec.Struct, frozen=True):
    """The traffic of one route.

    Attributes:
        share: Its part of the endpoint's traffic, 0 to 1.
        why_not: Why it gets no traffic, None where it gets some.
        decided_at: The event that last set the deciding register.
    """

    share: float
    why_not: str | None
    decided_at: EntryId


def traffic_of(endpoint: Endpoint, stale: Collection[UUID] = ()) -> dict[UUID, Traffic]:
    """Return the traffic of each route of the endpoint, by the rule that AppProxy routes by.

    *stale* are routes that are taken for unhealthy because nobody has looked at them for long.
    """
    chosen = {route.route_id: route.traffic_ratio for route in routable(endpoint, stale=stale)}
    else_chosen = {route.route_id for route in routable(endpoint)} if stale else frozenset()
    total = sum(chosen.values())
    traffic = {}
    for route in endpoint.present_routes:
        if route.route_id in chosen:
            share = chosen[route.route_id] / total
            traffic[route.route_id] = Traffic(share, None, _chosen_at(endpoint, route))
        elif route.route_id in else_chosen:
            traffic[route.route_id] = Traffic(0.0, "health is stale", route.health_at)
        else:
            traffic[route.route_id] = _none_for(endpoint, route)
    return traffic


def revision_in_words(revision: str) -> str:
    """Return how a revision is called; routes without the label have one in common."""
    return f"revision {revision}" if revision else "routes without a revision"


def address_since(route: Route) -> EntryId:
    """Return the event that last set the route's address."""
    return max(route.address_at, route.listed_at)


def labels_since(route: Route) -> EntryId:
    """Return the event that last set the route's labels."""
    return max(route.labels_at, route.listed_at)


def ratio_since(route: Route) -> EntryId:
    """Return the event that last set the route's weight."""
    return max(route.ratio_at, route.listed_at)


def _chosen_at(endpoint: Endpoint, route: Route) -> EntryId:
    """Return the newest of the events that set the registers, which all allow traffic."""
    is_checked = endpoint.health_check is not None
    health = max(route.health_at, route.flapping_at) if is_checked else endpoint.health_check_at
    switches = max(endpoint.traffic_at, route.traffic_at, endpoint.split_at)
    return max(route.status_since, address_since(route), ratio_since(route), health, switches)


def _none_for(endpoint: Endpoint, route: Route) -> Traffic:
    if route.status in ENDED:
        return Traffic(0.0, route.status, route.status_since)
    if endpoint.traffic_status == "inactive":
        return Traffic(0.0, "endpoint disabled", endpoint.traffic_at)
    if route.traffic_status == "inactive":
        return Traffic(0.0, "disabled", route.traffic_at)
    if not is_reachable(route):
        return Traffic(0.0, "no address", address_since(route))
    if endpoint.health_check is not None and not route.is_healthy:
        return _unhealthy(endpoint, route)
    return _weightless(endpoint, route)


def _unhealthy(endpoint: Endpoint, route: Route) -> Traffic:
    if route.flapping:
        return Traffic(0.0, "flapping", route.flapping_at)
    return Traffic(0.0, route.health.replace("_", " "), _health_since(endpoint, route))


def _weightless(endpoint: Endpoint, route: Route) -> Traffic:
    if route.traffic_ratio == 0:
        return Traffic(0.0, "weight 0", ratio_since(route))
    by = max(endpoint.split_at, labels_since(route))
    return Traffic(0.0, f"no share for {revision_in_words(route.revision)}", by)


def _health_since(endpoint: Endpoint, route: Route) -> EntryId:
    if route.health != "not_checked":
        return route.health_at
    return max(endpoint.health_check_at, route.started_at)
