"""Decide how routes end: the drain is over, the session is gone, an eviction is proposed.

Each function is pure. It returns no event where the state already is as requested.
"""

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace

from events.catalogue.endpoint import EndpointReadyEvent, EndpointReplicasUpdatedEvent
from events.catalogue.route import (
    RouteDrainedEvent,
    RouteEvictionProposedEvent,
    RouteFailedEvent,
    RouteTerminatedEvent,
    StartPhase,
)
from events.entry.entry_id import START
from producers.endpoints.decisions import Decision, checked, existing, route_in
from projections.route_table.endpoint import Endpoint
from projections.route_table.phase import Phase, counts_as_healthy, phase_of, serves

REMEMBERED_MAX = 64
"""Ended routes that a document remembers; the next end says which routes remain instead."""

_STARTING: dict[Phase, StartPhase] = {
    "provisioning": "provisioning",
    "warming_up": "warming_up",
    "running": "running",
}


def fail(endpoint: Endpoint, route_id: UUID, errors: Sequence[str]) -> Decision:
    """Record that the route could not start, or broke for good, and what it was doing."""
    route = route_in(endpoint, route_id)
    if route.status == "failed" and route.errors == tuple(errors):
        return ()
    return checked(
        RouteFailedEvent(
            endpoint_id=endpoint.endpoint_id,
            route_id=route_id,
            errors=tuple(errors),
            during=_STARTING.get(phase_of(endpoint, route)),
        )
    )


def end_drain(endpoint: Endpoint, route_id: UUID, reason: str | None) -> Decision:
    """Record that the drain of a terminating route is over."""
    if phase_of(endpoint, route_in(endpoint, route_id)) != "draining":
        return ()
    return checked(
        RouteDrainedEvent(endpoint_id=endpoint.endpoint_id, route_id=route_id, reason=reason)
    )


def remove(endpoint: Endpoint, route_id: UUID, reason: str | None) -> Decision:
    """Record that the route's session is gone; the route need not have been terminating."""
    existing(endpoint)
    route = endpoint.routes.get(route_id)
    if route is None or route.listed_at <= START:
        return ()
    remembered = len(endpoint.routes) - len(endpoint.present_routes)
    remaining = None
    if remembered >= REMEMBERED_MAX:
        others = (other.route_id for other in endpoint.present_routes)
        remaining = tuple(other for other in others if other != route_id)
    return checked(
        RouteTerminatedEvent(
            endpoint_id=endpoint.endpoint_id,
            route_id=route_id,
            reason=reason,
            remaining=remaining,
        )
    )


def removed_together(decision: Decision) -> Decision:
    """Let no removal of *decision* count a route among those remaining that another removes."""
    gone = {event.route_id for event in decision if isinstance(event, RouteTerminatedEvent)}
    return tuple(
        replace(event, remaining=tuple(one for one in event.remaining if one not in gone))
        if isinstance(event, RouteTerminatedEvent) and event.remaining is not None
        else event
        for event in decision
    )


def propose_eviction(endpoint: Endpoint, route_id: UUID, reason: str) -> Decision:
    """Propose that an unhealthy route is replaced, once for as long as it is unhealthy."""
    route = route_in(endpoint, route_id)
    is_unhealthy = phase_of(endpoint, route) == "running" and not counts_as_healthy(endpoint, route)
    if not is_unhealthy or route.eviction_at > route.health_at:
        return ()
    return checked(
        RouteEvictionProposedEvent(
            endpoint_id=endpoint.endpoint_id, route_id=route_id, reason=reason
        )
    )


def set_replicas(endpoint: Endpoint, replicas: int) -> Decision:
    """Say how many routes are wanted."""
    existing(endpoint)
    decision = checked(
        EndpointReplicasUpdatedEvent(endpoint_id=endpoint.endpoint_id, replicas=replicas)
    )
    return () if endpoint.replicas == replicas else decision


def reset_retries(endpoint: Endpoint) -> Decision:
    """Record that at least as many routes serve as are wanted, after some have failed to start.

    Where nobody has said how many are wanted, those are that serve, or will.
    """
    present = endpoint.present_routes
    serving = sum(serves(endpoint, route) for route in present)
    live = sum(phase_of(endpoint, route) in _STARTING for route in present)
    wanted = live if endpoint.replicas is None else endpoint.replicas
    if endpoint.is_destroyed or not endpoint.failures or not serving or serving < wanted:
        return ()
    return checked(EndpointReadyEvent(endpoint_id=endpoint.endpoint_id, replicas=serving))
