"""Apply the rule that AppProxy routes by: which routes of an endpoint get traffic."""

from collections.abc import Collection
from uuid import UUID

from projections.route_table.effective_weight import divided
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import ENDED, Route
from projections.route_table.slow_start import SlowStart


def is_reachable(route: Route) -> bool:
    """Whether its status and address allow traffic at all, whatever its health."""
    return (
        route.status not in ENDED
        and route.kernel_host is not None
        and route.kernel_port is not None
    )


def is_candidate(route: Route) -> bool:
    """Whether it is reachable, and its traffic is not switched off."""
    return is_reachable(route) and route.traffic_status == "active"


def gets_traffic(route: Route, *, checked: bool) -> bool:
    """Whether the route gets traffic while its endpoint does.

    *checked* says whether the endpoint has a health check.
    """
    return is_candidate(route) and (not checked or route.is_healthy)


def routable(
    endpoint: Endpoint,
    panic_threshold: float = 0.0,
    slow_start: SlowStart | None = None,
    stale: Collection[UUID] = (),
) -> tuple[Route, ...]:
    """Return the routes that share the endpoint's traffic by their `traffic_ratio`.

    Where the endpoint's traffic is split between revisions, that is their effective weight: see
    `projections.route_table.effective_weight.divided`. With *slow_start* weights ramp up.

    Where fewer than *panic_threshold* (0 to 1) of the candidates are healthy, all of them are
    returned but those that load their weights: too few healthy ones under full load would fail
    next. 0 switches that off. A route with ratio 0 gets no traffic, nor does any whose endpoint's
    traffic is switched off.

    *stale* are routes to be taken for unhealthy, because nobody has looked at them for long: see
    `projections.route_table.health_age.withdrawn`.
    """
    if endpoint.traffic_status == "inactive":
        return ()
    candidates = [route for route in endpoint.present_routes if is_candidate(route)]
    checked = endpoint.health_check is not None
    chosen = [route for route in candidates if gets_traffic(route, checked=checked)]
    if stale:
        chosen = [route for route in chosen if route.route_id not in stale]
    if len(chosen) < panic_threshold * len(candidates):
        chosen = [route for route in candidates if not _loads(endpoint, route)]
    weighted = tuple(route for route in chosen if route.traffic_ratio > 0)
    if slow_start is not None:
        weighted = slow_start.ramped(endpoint, weighted)
    return divided(weighted, endpoint.split) if endpoint.split else weighted


def _loads(endpoint: Endpoint, route: Route) -> bool:
    """Whether the route has had no success yet where the health check lets it warm up."""
    check = endpoint.health_check
    return check is not None and check.warm_up_time is not None and route.health == "not_checked"
