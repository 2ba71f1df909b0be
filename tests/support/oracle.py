"""The oracle: what is true of an endpoint after a whole history, said as naively as possible.

It looks at the ordered history, not at states; nothing of the folds is called. A route's own
history begins after the last event that says it is gone: what was said before does not count.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from events.catalogue.endpoint import (
    EndpointCreatedEvent,
    EndpointDestroyedEvent,
    EndpointHealthCheckUpdatedEvent,
    EndpointReadyEvent,
    EndpointReplicasUpdatedEvent,
    Owner,
)
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteDrainedEvent,
    RouteEvictionProposedEvent,
    RouteFailedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTerminatedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
    TrafficSwitchedEvent,
)
from events.catalogue.route_flapping import RouteFlappingEvent
from events.catalogue.traffic_split import Rollout, TrafficSplitUpdatedEvent
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent

Address = tuple[UUID | None, str, str | None, int | None, str]


class TrueRoute(NamedTuple):
    """What is true of one route that the endpoint has."""

    address: Address
    status: str
    reasons: tuple[tuple[str, ...], str | None, float | None]
    status_since: EntryId
    drained: tuple[EntryId, str | None] | None
    eviction: tuple[EntryId, str | None] | None
    traffic_ratio: float
    started_at: EntryId | None
    health: str
    health_reason: str | None
    consecutive_failures: int
    traffic: tuple[str, str | None]
    labels: dict[str, str]
    flapping: tuple[bool, str | None]


def is_destroyed(history: Sequence[RecordedEvent]) -> bool:
    return any(isinstance(one.event, EndpointDestroyedEvent) for one in history)


def name(history: Sequence[RecordedEvent]) -> str | None:
    creations = [one.event for one in history if isinstance(one.event, EndpointCreatedEvent)]
    return creations[-1].name if creations else None


def description(history: Sequence[RecordedEvent]) -> tuple[Owner | None, dict[str, str]]:
    """Return the owner and the labels that the endpoint was last created with."""
    creations = [one.event for one in history if isinstance(one.event, EndpointCreatedEvent)]
    return (creations[-1].owner, creations[-1].labels) if creations else (None, {})


def health_check(history: Sequence[RecordedEvent]) -> HealthCheck | None:
    if is_destroyed(history):
        return None
    said = [
        one.event.health_check
        for one in history
        if isinstance(one.event, EndpointCreatedEvent | EndpointHealthCheckUpdatedEvent)
    ]
    return said[-1] if said else None


def present_routes(history: Sequence[RecordedEvent]) -> dict[UUID, TrueRoute]:
    if is_destroyed(history):
        return {}
    told = {route_id: own_history(history, route_id) for route_id in _mentioned(history)}
    return {
        route_id: _truth(own)
        for route_id, own in told.items()
        if any(isinstance(said, RouteRecord) for _, said in own)
    }


def own_history(history: Sequence[RecordedEvent], route_id: UUID) -> list[tuple[EntryId, Any]]:
    """Return what was said of one route since it was last absent; lists say its record."""
    own: list[tuple[EntryId, Any]] = []
    for one in history:
        event: Any = one.event
        if isinstance(event, EndpointRouteListUpdatedEvent):
            records = [route for route in event.routes if route.route_id == route_id]
            if not records:
                own.clear()
            own.extend((one.entry_id, route) for route in records)
        elif isinstance(event, RouteCreatedEvent):
            if event.route.route_id == route_id:
                own.append((one.entry_id, event.route))
        elif isinstance(event, RouteTerminatedEvent):
            others = event.remaining
            if event.route_id == route_id or (others is not None and route_id not in others):
                own.clear()
        elif getattr(event, "route_id", None) == route_id:
            own.append((one.entry_id, event))
    return own


def _mentioned(history: Sequence[RecordedEvent]) -> set[UUID]:
    mentioned = set()
    for one in history:
        event: Any = one.event
        if isinstance(event, EndpointRouteListUpdatedEvent):
            mentioned |= {route.route_id for route in event.routes}
        elif isinstance(event, RouteCreatedEvent):
            mentioned.add(event.route.route_id)
        elif getattr(event, "route_id", None) is not None:
            mentioned.add(event.route_id)
    return mentioned


def _truth(own: list[tuple[EntryId, Any]]) -> TrueRoute:
    since, status, reasons = _status(own)
    place = [said for _, said in own if isinstance(said, RouteRecord | RouteStartedEvent)][-1]
    ratio = [
        said.traffic_ratio
        for _, said in own
        if isinstance(said, RouteRecord | RouteTrafficRatioUpdatedEvent)
    ][-1]
    labels = [
        said.labels
        for _, said in own
        if isinstance(said, RouteRecord | RouteStartedEvent) and said.labels is not None
    ][-1]
    starts = [entry_id for entry_id, said in own if isinstance(said, RouteStartedEvent)]
    found = health(own)
    return TrueRoute(
        (place.session_id, place.app, place.kernel_host, place.kernel_port, place.protocol),
        status,
        reasons,
        since,
        _last(own, RouteDrainedEvent),
        _last(own, RouteEvictionProposedEvent),
        ratio,
        starts[-1] if starts else None,
        "not_checked" if found is None else found.new_status,
        None if found is None else found.reason,
        0 if found is None else found.consecutive_failures,
        traffic([said for _, said in own]),
        labels,
        flapping([said for _, said in own]),
    )


def endpoint_traffic(history: Sequence[RecordedEvent]) -> tuple[str, str | None]:
    if is_destroyed(history):
        return "active", None
    return traffic([one.event for one in history if getattr(one.event, "route_id", 0) is None])


def traffic_split(
    history: Sequence[RecordedEvent],
) -> tuple[dict[str, float], Rollout | None, str | None]:
    """Return the shares by revision, what they are a step of, and why."""
    said = [one.event for one in history if isinstance(one.event, TrafficSplitUpdatedEvent)]
    if not said or is_destroyed(history):
        return {}, None, None
    return said[-1].shares, said[-1].rollout, said[-1].reason


def traffic(said: Sequence[Any]) -> tuple[str, str | None]:
    """Return the last switch, and its reason."""
    switches = [one for one in said if isinstance(one, TrafficSwitchedEvent)]
    return (switches[-1].traffic_status, switches[-1].reason) if switches else ("active", None)


def flapping(said: Sequence[Any]) -> tuple[bool, str | None]:
    """Return whether it flaps, and why that was said."""
    flaps = [one for one in said if isinstance(one, RouteFlappingEvent)]
    return (flaps[-1].flapping, flaps[-1].reason) if flaps else (False, None)


def _last(own: list[tuple[EntryId, Any]], kind: type[Any]) -> tuple[EntryId, Any] | None:
    said = [(entry_id, one.reason) for entry_id, one in own if isinstance(one, kind)]
    return said[-1] if said else None


def _status(own: list[tuple[EntryId, Any]]) -> tuple[EntryId, str, Any]:
    """Return what it is since when, and why; a start brings no route back that has ended."""
    last: tuple[EntryId, str, Any] | None = None
    nothing = ((), None, None)
    for entry_id, said in own:
        has_ended = last is not None and last[1] in {"terminating", "terminated", "failed"}
        if isinstance(said, RouteRecord):
            last = entry_id, said.status, nothing
        elif isinstance(said, RouteStartedEvent) and not has_ended:
            last = entry_id, "running", nothing
        elif isinstance(said, RouteTerminatingEvent):
            last = entry_id, "terminating", ((), said.reason, said.drain_s)
        elif isinstance(said, RouteFailedEvent):
            last = entry_id, "failed", (said.errors, None, None)
    assert last is not None
    return last


def replicas(history: Sequence[RecordedEvent]) -> int | None:
    """Return how many routes are wanted, None where nobody has said so."""
    said = [
        one.event.replicas for one in history if isinstance(one.event, EndpointReplicasUpdatedEvent)
    ]
    return said[-1] if said and not is_destroyed(history) else None


def retries(history: Sequence[RecordedEvent]) -> int:
    """Return how many starts have failed since the endpoint was last ready."""
    count = 0
    for one in history:
        if isinstance(one.event, EndpointReadyEvent):
            count = 0
        elif isinstance(one.event, RouteFailedEvent):
            count += one.event.during in {"provisioning", "warming_up"}
    return 0 if is_destroyed(history) else count


def health(own: list[tuple[EntryId, Any]]) -> ModelServiceStatusEvent | None:
    """Return the last that was found of the route, None where nothing was since it started."""
    found = None
    for _, said in own:
        if isinstance(said, RouteStartedEvent):
            found = None
        elif isinstance(said, ModelServiceStatusEvent):
            found = said
    return found


def health_since(own: list[tuple[EntryId, Any]]) -> EntryId | None:
    """Return the entry with which the present health began."""
    since, now = None, None
    for entry_id, said in own:
        if isinstance(said, RouteStartedEvent):
            since, now = entry_id, None
        elif isinstance(said, ModelServiceStatusEvent) and said.new_status != now:
            since, now = entry_id, said.new_status
    return since
