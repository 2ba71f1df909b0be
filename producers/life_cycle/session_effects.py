"""Decide what happens to a route when its session runs, terminates, is gone or is cancelled."""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

import msgspec

from events.catalogue.route import RouteRecord
from producers.endpoints.decisions import Decision, record_of, start_route, terminate_route
from producers.life_cycle.route_end import fail, remove, removed_together
from projections.route_table.endpoint import Endpoint
from projections.route_table.phase import Phase, phase_of
from projections.route_table.route import Route

SessionStatus = Literal["running", "terminating", "terminated", "cancelled"]
Effect = Literal["start", "terminate", "remove", "fail", "nothing"]

EFFECTS: Mapping[tuple[SessionStatus, Phase], Effect] = {
    ("running", "provisioning"): "start",
    ("running", "warming_up"): "start",
    ("running", "running"): "start",
    ("running", "draining"): "nothing",
    ("running", "terminating"): "nothing",
    ("running", "terminated"): "nothing",
    ("running", "failed_to_start"): "nothing",
    ("terminating", "provisioning"): "terminate",
    ("terminating", "warming_up"): "terminate",
    ("terminating", "running"): "terminate",
    ("terminating", "draining"): "nothing",
    ("terminating", "terminating"): "nothing",
    ("terminating", "terminated"): "nothing",
    ("terminating", "failed_to_start"): "nothing",
    ("terminated", "provisioning"): "remove",
    ("terminated", "warming_up"): "remove",
    ("terminated", "running"): "remove",
    ("terminated", "draining"): "remove",
    ("terminated", "terminating"): "remove",
    ("terminated", "terminated"): "remove",
    ("terminated", "failed_to_start"): "remove",
    ("cancelled", "provisioning"): "fail",
    ("cancelled", "warming_up"): "fail",
    ("cancelled", "running"): "fail",
    ("cancelled", "draining"): "remove",
    ("cancelled", "terminating"): "remove",
    ("cancelled", "terminated"): "remove",
    ("cancelled", "failed_to_start"): "nothing",
}
"""What a session's status does to its route in a phase.

A start changes nothing where the route runs at that address already.
"""


class SessionChange(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of a session.

    Attributes:
        status: What it is now.
        address: Host and port at which it serves, where that is said; else the route's own counts.
        reason: Why it terminates, or has terminated.
        errors: Why it was cancelled.
        drain_s: The seconds that requests in flight may take; None: as the keeper is set.
    """

    status: SessionStatus
    address: tuple[str, int] | None = None
    reason: str | None = None
    errors: tuple[str, ...] = ()
    drain_s: float | None = None


def routes_of_session(endpoint: Endpoint, session_id: UUID) -> Sequence[Route]:
    """Return the endpoint's routes that are served by the session."""
    return [route for route in endpoint.present_routes if route.session_id == session_id]


def session_changed(endpoint: Endpoint, session_id: UUID, change: SessionChange) -> Decision:
    """Decide what becomes of the endpoint's routes in the session.

    Raises:
        InvalidEventError: The session runs, and no address is known of its route.
    """
    decision: Decision = ()
    for route in routes_of_session(endpoint, session_id):
        decision += _route_changed(endpoint, route, change)
    return removed_together(decision)


def _route_changed(endpoint: Endpoint, route: Route, change: SessionChange) -> Decision:
    match EFFECTS[change.status, phase_of(endpoint, route)]:
        case "start":
            return start_route(endpoint, _started_record(route, change))
        case "terminate":
            return terminate_route(
                endpoint, route.route_id, reason=change.reason, drain_s=change.drain_s
            )
        case "remove":
            return remove(endpoint, route.route_id, change.reason)
        case "fail":
            return fail(endpoint, route.route_id, change.errors or _reasons(change))
        case "nothing":
            return ()


def _started_record(route: Route, change: SessionChange) -> RouteRecord:
    record = record_of(route)
    if change.address is None:
        return record
    host, port = change.address
    return msgspec.structs.replace(record, kernel_host=host, kernel_port=port)


def _reasons(change: SessionChange) -> tuple[str, ...]:
    return () if change.reason is None else (change.reason,)
