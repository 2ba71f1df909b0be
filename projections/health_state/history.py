"""The health history: what each route of an endpoint was between two moments."""

from collections.abc import Iterable, Mapping
from typing import Literal
from uuid import UUID

import msgspec

from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteFailedEvent,
    RouteStartedEvent,
    RouteTerminatingEvent,
)
from events.entry.entry_id import START, EntryId
from events.entry.recorded import RecordedEvent
from projections.health_state.endpoint_health import EndpointHealth, RouteHealth
from projections.health_state.health_state import evolve
from projections.route_table.routing import ENDED

Condition = Literal["unknown", "absent", "not_checked", "healthy", "unhealthy", "ended"]
"""What a route was.

Unknown: it cannot be told from what is left. Absent: the endpoint had no such route. Ended: it was
terminating, terminated or failed, whatever its health.
"""


class Span(msgspec.Struct, frozen=True):
    """A time between two moments, in milliseconds of the server's clock."""

    start_ms: int
    end_ms: int


class Interval(msgspec.Struct, frozen=True):
    """What a route was for a while; *by* began it, None where that lies before the window."""

    condition: Condition
    span: Span
    by: EntryId | None = None
    reason: str | None = None

    @property
    def ms(self) -> int:
        """How long."""
        return self.span.end_ms - self.span.start_ms


class RouteHistory(msgspec.Struct, frozen=True):
    """One route's intervals, oldest first, without a gap from the window's start to its end.

    Attributes:
        route_id: Which route.
        intervals: What it was.
        changes: How often it became healthy or unhealthy within the window.
    """

    route_id: UUID
    intervals: list[Interval]
    changes: int

    @property
    def healthy_share(self) -> float | None:
        """Of the time that it was there and could be told: how much it was healthy, 0 to 1."""
        told = sum(self._ms(one) for one in ("healthy", "unhealthy", "not_checked"))
        return self._ms("healthy") / told if told else None

    def _ms(self, condition: str) -> int:
        return sum(one.ms for one in self.intervals if one.condition == condition)


def known_before(state: EndpointHealth, start: EntryId) -> EndpointHealth:
    """Return what *state*, as it is now, still tells of the time before *start*."""

    def earlier(stamp: EntryId) -> EntryId:
        return stamp if stamp < start else START

    routes = {}
    for route in state.routes.values():
        then = RouteHealth(
            route_id=route.route_id,
            session_id=route.session_id,
            listed_at=earlier(route.listed_at),
            absent_at=earlier(route.absent_at),
            started_at=earlier(route.started_at),
            told=route.told.before(start),
        )
        if then.told or max(then.listed_at, then.started_at) > START:
            routes[route.route_id] = then
    return EndpointHealth(
        endpoint_id=state.endpoint_id,
        destroyed_at=earlier(state.destroyed_at),
        list_at=earlier(state.list_at),
        routes=routes,
    )


def histories(
    before: EndpointHealth,
    ended: Iterable[UUID],
    happened: Iterable[RecordedEvent],
    window: Span,
    *,
    is_all: bool,
) -> list[RouteHistory]:
    """Return each route's history in *window*, by its id.

    Args:
        before: What is known of the time before the window.
        ended: Routes that had ended before it.
        happened: The endpoint's events in the window, oldest first.
        window: From when to when.
        is_all: Whether *before* is all that there was: other routes were absent, not unknown.
    """
    told: dict[UUID, list[Interval]] = {}
    changes: dict[UUID, int] = {}
    unheard: Condition = "absent" if is_all else "unknown"
    now = set(ended)
    for one in before.routes:
        told[one] = [Interval(_condition(before, now, one), window)]
    state = before
    for recorded in happened:
        state = evolve(state, recorded)
        _note_ended(recorded, now)
        for one in _touched(recorded, state, told):
            condition = _condition(state, now, one)
            intervals = told.setdefault(one, [Interval(unheard, window)])
            if condition != intervals[-1].condition:
                go_on(intervals, condition, recorded.entry_id, _reason_of(recorded))
                changes[one] = changes.get(one, 0) + _is_change(recorded, one)
    return [
        RouteHistory(one, [i for i in told[one] if i.ms], changes.get(one, 0))
        for one in sorted(told, key=lambda route_id: route_id.int)
    ]


def _touched(
    recorded: RecordedEvent, state: EndpointHealth, told: Mapping[UUID, object]
) -> Iterable[UUID]:
    """Return the routes that the event may have changed: one, or all there are and were."""
    one: UUID | None = getattr(recorded.event, "route_id", None)
    if one is not None:
        return [one] if one in state.routes or one in told else []
    return [*told, *(other for other in state.routes if other not in told)]


def _condition(state: EndpointHealth, ended: set[UUID], route_id: UUID) -> Condition:
    route = state.routes.get(route_id)
    if route is None or state.destroyed_at > START:
        return "absent"
    if route_id in ended:
        return "ended"
    return "not_checked" if route.health == "degraded" else route.health


def _note_ended(recorded: RecordedEvent, ended: set[UUID]) -> None:
    match recorded.event:
        case RouteTerminatingEvent(route_id=route_id) | RouteFailedEvent(route_id=route_id):
            ended.add(route_id)
        case RouteStartedEvent(route_id=route_id):
            ended.discard(route_id)
        case EndpointRouteListUpdatedEvent(routes=routes):
            ended.clear()
            ended.update(route.route_id for route in routes if route.status in ENDED)
        case _:
            pass


def go_on(intervals: list[Interval], condition: Condition, by: EntryId, reason: str | None) -> None:
    """End the last of *intervals* where the entry *by* was appended, and begin another."""
    last = intervals[-1]
    at = min(max(by.ms, last.span.start_ms), last.span.end_ms)
    intervals[-1] = Interval(last.condition, Span(last.span.start_ms, at), last.by, last.reason)
    intervals.append(Interval(condition, Span(at, last.span.end_ms), by, reason))


def _reason_of(recorded: RecordedEvent) -> str | None:
    event = recorded.event
    return event.reason if isinstance(event, ModelServiceStatusEvent) else None


def _is_change(recorded: RecordedEvent, route_id: UUID) -> bool:
    event = recorded.event
    return isinstance(event, ModelServiceStatusEvent) and event.route_id == route_id
