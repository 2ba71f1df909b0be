"""Suggest which routes a scale-down removes first."""

from collections.abc import Mapping
from typing import NamedTuple

from projections.route_table.endpoint import Endpoint
from projections.route_table.phase import Phase, counts_as_healthy, phase_of
from projections.route_table.route import Route

REMOVAL_ORDER: Mapping[tuple[Phase, bool], int] = {
    ("failed_to_start", False): 1,
    ("failed_to_start", True): 1,
    ("running", False): 2,
    ("provisioning", False): 3,
    ("provisioning", True): 3,
    ("warming_up", False): 4,
    ("warming_up", True): 4,
    ("running", True): 5,
}
"""Which routes go first, by their phase and whether they count as healthy; others go already."""


class Suggestion(NamedTuple):
    """A route that may be removed, and why it is its turn."""

    route: Route
    phase: Phase
    why: str


def suggest_removal(endpoint: Endpoint, count: int) -> list[Suggestion]:
    """Return up to *count* routes to remove: failed, unhealthy, still starting, then healthy ones.

    Among equals the newest goes first: the older a route, the warmer are its caches. Routes that
    are leaving already are not counted.
    """
    ranked = []
    for route in endpoint.present_routes:
        phase, is_healthy = phase_of(endpoint, route), counts_as_healthy(endpoint, route)
        rank = REMOVAL_ORDER.get((phase, is_healthy))
        if rank is not None:
            why = phase if phase != "running" else "healthy" if is_healthy else "unhealthy"
            since = max(route.started_at, route.listed_at)
            order = (rank, -since.ms, -since.seq, route.route_id.int)
            ranked.append((order, Suggestion(route, phase, why.replace("_", " "))))
    return [suggestion for _, suggestion in sorted(ranked, key=lambda each: each[0])[:count]]
