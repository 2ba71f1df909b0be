"""Let the weight of a route ramp up after it became fit: the slow start."""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route

LEAST_PART = 0.1
"""The part of its weight with which a route begins."""

_AHEAD_MS_MAX = 10_000
"""A start that lies further in the future is from before the clock was set back: it is over."""


class SlowStart(msgspec.Struct, frozen=True):
    """How weights ramp up, at one moment.

    A route begins with a tenth of its weight when it becomes healthy, or starts where its endpoint
    has no health check, and has all of it after *within_s*.

    Attributes:
        within_s: Seconds from the tenth to the whole.
        now_ms: The server's clock, in ms since 1970.
    """

    within_s: float
    now_ms: int

    def ramped(self, endpoint: Endpoint, routes: Iterable[Route]) -> tuple[Route, ...]:
        """Return *routes* with the weights that they have now as their `traffic_ratio`."""
        weighted = []
        for route in routes:
            part = self.part_of(endpoint, route)
            weight = route.traffic_ratio * part
            weighted.append(route if part == 1 else replace(route, traffic_ratio=weight))
        return tuple(route for route in weighted if route.traffic_ratio > 0)

    def is_ramping(self, endpoint: Endpoint) -> bool:
        """Whether any of the endpoint's routes has less than its whole weight."""
        return any(self.part_of(endpoint, route) < 1 for route in endpoint.routes.values())

    def part_of(self, endpoint: Endpoint, route: Route) -> float:
        """Return which part of its weight the route has: from `LEAST_PART` to 1."""
        began = route.started_at
        if endpoint.health_check is not None and route.is_healthy:
            began = max(began, route.health_at, route.flapping_at)
        age_ms = self.now_ms - began.ms
        if age_ms >= self.within_s * 1_000 or age_ms < -_AHEAD_MS_MAX:
            return 1.0
        return max(LEAST_PART, round(age_ms / (self.within_s * 1_000), 2))
