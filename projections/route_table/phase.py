"""The states of routes and endpoints, as tables: what each is, and what follows from it.

What is recorded of a route is its status, its health and its switch; what a person sees is its
phase. Every function here looks its answer up in one of the tables, of which `docs/states.md` is
made.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from events.catalogue.route import RouteStatus
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route

Phase = Literal[
    "provisioning",
    "warming_up",
    "running",
    "draining",
    "terminating",
    "terminated",
    "failed_to_start",
]
Condition = Literal["", "no address", "no success", "proven", "not drained", "drained"]
"""What tells apart phases of one status; "" where the status alone decides."""

PHASES: Mapping[tuple[RouteStatus, Condition], Phase] = {
    ("provisioning", ""): "provisioning",
    ("running", "no address"): "provisioning",
    ("running", "no success"): "warming_up",
    ("running", "proven"): "running",
    ("terminating", "not drained"): "draining",
    ("terminating", "drained"): "terminating",
    ("terminated", ""): "terminated",
    ("failed", ""): "failed_to_start",
}
"""The phase of a route with a status, under a condition."""

OriginalStatus = Literal["healthy", "unhealthy", "provisioning", "terminating", "failed_to_start"]
"""The five values of Backend.AI's RouteStatus."""

ORIGINAL: Mapping[tuple[Phase, bool], OriginalStatus] = {
    ("provisioning", False): "provisioning",
    ("provisioning", True): "provisioning",
    ("warming_up", False): "provisioning",
    ("warming_up", True): "provisioning",
    ("running", False): "unhealthy",
    ("running", True): "healthy",
    ("draining", False): "terminating",
    ("draining", True): "terminating",
    ("terminating", False): "terminating",
    ("terminating", True): "terminating",
    ("terminated", False): "terminating",
    ("terminated", True): "terminating",
    ("failed_to_start", False): "failed_to_start",
    ("failed_to_start", True): "failed_to_start",
}
"""The original's status of a route in a phase, by whether it counts as healthy."""

SERVING: Mapping[tuple[Phase, bool], bool] = {
    (phase, is_healthy): original == "healthy" for (phase, is_healthy), original in ORIGINAL.items()
}
"""Whether a route in a phase may get traffic, by whether it counts as healthy."""

EndpointPhase = Literal["pending", "scaling", "ready", "degraded", "destroyed"]
Served = Literal["none", "some", "all"]
"""How many of an endpoint's wanted routes serve."""

ENDPOINT_PHASES: Mapping[tuple[Served, bool], EndpointPhase] = {
    ("none", False): "degraded",
    ("none", True): "pending",
    ("some", False): "degraded",
    ("some", True): "scaling",
    ("all", False): "ready",
    ("all", True): "scaling",
}
"""The phase of an endpoint that is not destroyed, by whether routes are on their way."""

LIVE = frozenset[Phase]({"provisioning", "warming_up", "running"})
"""The phases of a route that serves, or will."""


def condition_of(endpoint: Endpoint, route: Route) -> Condition:
    """Return what tells the route's phase apart from others of its status."""
    if route.status == "terminating":
        return "drained" if route.is_drained else "not drained"
    if route.status != "running":
        return ""
    if route.kernel_host is None or route.kernel_port is None:
        return "no address"
    is_unproven = endpoint.health_check is not None and route.health == "not_checked"
    return "no success" if is_unproven else "proven"


def phase_of(endpoint: Endpoint, route: Route) -> Phase:
    """Return the phase of one of the endpoint's routes.

    A route whose health was found since it started has proven itself, whether it is healthy or
    not: while a route warms up, nobody records that it is unhealthy.
    """
    return PHASES[route.status, condition_of(endpoint, route)]


def counts_as_healthy(endpoint: Endpoint, route: Route) -> bool:
    """Whether the route is healthy; without a health check every route is."""
    return endpoint.health_check is None or route.is_healthy


def serves(endpoint: Endpoint, route: Route) -> bool:
    """Whether the route may get traffic, leaving switches and weights aside."""
    return SERVING[phase_of(endpoint, route), counts_as_healthy(endpoint, route)]


def original_status(endpoint: Endpoint, route: Route) -> OriginalStatus:
    """Return the route's status as Backend.AI's RouteStatus has it."""
    return ORIGINAL[phase_of(endpoint, route), counts_as_healthy(endpoint, route)]


def endpoint_phase(endpoint: Endpoint) -> EndpointPhase:
    """Return the phase of the endpoint.

    Where nobody has said how many routes are wanted, those are that serve, or will.
    """
    if endpoint.is_destroyed:
        return "destroyed"
    phases = Counter(phase_of(endpoint, route) for route in endpoint.present_routes)
    live = sum(phases[phase] for phase in LIVE)
    wanted = live if endpoint.replicas is None else endpoint.replicas
    is_unset = endpoint.replicas is None and not live
    serving = sum(serves(endpoint, route) for route in endpoint.present_routes)
    is_changing = live > wanted or is_unset or phases["provisioning"] + phases["warming_up"] > 0
    served: Served = "some" if serving else "none"
    if serving >= wanted and not is_unset:
        served = "all"
    return ENDPOINT_PHASES[served, is_changing]
