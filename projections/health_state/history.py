"""Work out what each route of an endpoint was between two moments."""

from collections.abc import Iterable, Mapping
from typing import Literal
from uuid import UUID

import msgspec

from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteFailedEvent,
    RouteTerminatedEvent,
    RouteTerminatingEvent,
)
from events.entry.entry_id import START, EntryId
from events.entry.recorded import RecordedEvent
from projections.health_state.endpoint_health import EndpointHealth, RouteHealth
from projections.health_state.health_state import evolve
from projections.route_table.route import ENDED

Condition = Literal["unknown", "absent", "not_checked", "healthy", "unhealthy", "ended"]
"""What a route was.

Unknown: the remaining events do not say. Absent: the endpoint had no such route. Ended: the route
was terminating, terminated or failed, whatever its health.
"""


class Span(msgspec.Struct, frozen=True):
    """A time between two moments, in milliseconds of the server's clock."""

    start_ms: int
    end_ms: int


class Interval(msgspec.Struct, frozen=True):
    """A route's condition for a while; entry *by* began it, None where that precedes the window."""

    condition: Condition
    span: Span
    by: EntryId | None = None
    reason: str | None = None

    @property
    def ms(self) -> int:
        """Its length in milliseconds."""
        return self.span.end_ms - self.span.start_ms


class RouteHistory(msgspec.Struct, frozen=True):
    """One route's intervals, oldest first, without a gap from the window's start to its end.

    Attributes:
        route_id: The route.
        intervals: Its conditions.
        changes: How often it became healthy or unhealthy within the window.
    """

    route_id: UUID
    intervals: list[Interval]
    changes: int

    @property
    def healthy_share(self) -> float | None:
        """How much it was healthy, 0 to 1, of the time that it was present with a known condition.

        None where there was no such time.
        """
        known_ms = sum(self._ms(each) for each in ("healthy", "unhealthy", "not_checked"))
        return self._ms("healthy") / known_ms if known_ms else None

    def _ms(self, condition: str) -> int:
        return sum(each.ms for each in self.intervals if each.condition == condition)


def known_before(state: EndpointHealth, start: EntryId) -> EndpointHealth:
    """Return what *state*, which is the current one, still shows of the time before *start*."""

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
            packed=route.packed.before(start),
        )
        if then.packed or max(then.listed_at, then.started_at) > START:
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
        ended: Routes that had ended before the window.
        happened: The endpoint's events in the window, oldest first.
        window: From when to when.
        is_all: Whether *before* has all routes of that time: others were absent, not unknown.
    """
    by_route: dict[UUID, list[Interval]] = {}
    changes: dict[UUID, int] = {}
    otherwise: Condition = "absent" if is_all else "unknown"
    ended_now = set(ended)
    for route_id in before.routes:
        by_route[route_id] = [Interval(_condition(before, ended_now, route_id), window)]
    state = before
    for recorded in happened:
        state = evolve(state, recorded)
        _note_ended(recorded, ended_now)
        for route_id in _touched(recorded, state, by_route):
            condition = _condition(state, ended_now, route_id)
            intervals = by_route.setdefault(route_id, [Interval(otherwise, window)])
            if condition != intervals[-1].condition:
                go_on(intervals, condition, recorded.entry_id, _reason_of(recorded))
                changes[route_id] = changes.get(route_id, 0) + _is_change(recorded, route_id)
    return [
        RouteHistory(
            route_id, [each for each in by_route[route_id] if each.ms], changes.get(route_id, 0)
        )
        for route_id in sorted(by_route, key=lambda route_id: route_id.int)
    ]


def _touched(
    recorded: RecordedEvent, state: EndpointHealth, seen: Mapping[UUID, object]
) -> Iterable[UUID]:
    """Return the routes that the event may have changed: its own, or all, past ones included."""
    route_id: UUID | None = getattr(recorded.event, "route_id", None)
    if route_id is not None:
        return [route_id] if route_id in state.routes or route_id in seen else []
    return [*seen, *(other for other in state.routes if other not in seen)]


def _condition(state: EndpointHealth, ended: set[UUID], route_id: UUID) -> Condition:
    route = state.routes.get(route_id)
    if route is None or route.is_gone or state.destroyed_at > START:
        return "absent"
    if route_id in ended:
        return "ended"
    return "not_checked" if route.health == "degraded" else route.health


def _note_ended(recorded: RecordedEvent, ended: set[UUID]) -> None:
    match recorded.event:
        case RouteTerminatingEvent(route_id=route_id) | RouteFailedEvent(route_id=route_id):
            ended.add(route_id)
        case RouteCreatedEvent(route=record):
            ended.discard(record.route_id)
        case RouteTerminatedEvent(route_id=route_id):
            ended.discard(route_id)
        case EndpointRouteListUpdatedEvent(routes=routes):
            ended.clear()
            ended.update(route.route_id for route in routes if route.status in ENDED)
        case _:
            pass


def go_on(intervals: list[Interval], condition: Condition, by: EntryId, reason: str | None) -> None:
    """End the last of *intervals* at the time of the entry *by*, and begin another."""
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
