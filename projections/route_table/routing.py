"""Apply the rule that AppProxy routes by: which routes of an endpoint get traffic."""

from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route

ENDED = frozenset({"terminating", "terminated", "failed"})
"""The statuses of a route that gets no new traffic any more."""


def is_reachable(route: Route) -> bool:
    """Whether its status and address allow traffic at all, whatever its health."""
    return (
        route.status not in ENDED
        and route.kernel_host is not None
        and route.kernel_port is not None
    )


def gets_traffic(route: Route, *, checked: bool) -> bool:
    """Whether the route gets traffic; *checked* says whether its endpoint has a health check."""
    return is_reachable(route) and (not checked or route.health == "healthy")


def routable(endpoint: Endpoint, panic_threshold: float = 0.0) -> tuple[Route, ...]:
    """Return the routes that share the endpoint's traffic by their `traffic_ratio`.

    Where fewer than *panic_threshold* (0 to 1) of the reachable routes are healthy, all of them
    are returned: too few healthy ones under full load would fail next. 0 switches that off. A
    route with ratio 0 gets no traffic.
    """
    reachable = [route for route in endpoint.present_routes if is_reachable(route)]
    checked = endpoint.health_check is not None
    chosen = [route for route in reachable if gets_traffic(route, checked=checked)]
    if len(chosen) < panic_threshold * len(reachable):
        chosen = reachable
    return tuple(route for route in chosen if route.traffic_ratio > 0)
