"""The health state: each route's health, since when, and how it came to be."""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec.structs import asdict, replace

from events.endpoint import EndpointDestroyedEvent
from events.entry_id import START, EntryId
from events.event import Event
from events.model_service import ModelServiceStatus, ModelServiceStatusEvent
from events.recorded import RecordedEvent
from events.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteRecord,
    RouteStartedEvent,
)
from projections.errors import UnreadableDocumentError
from projections.projection import Projection
from projections.route import Health
from projections.route_set import in_order, listed

TRANSITIONS_MAX = 32
"""Transitions that are kept of a route: the newest."""


class Transition(NamedTuple):
    """A route became healthy or unhealthy: at this stamp, for this reason."""

    at: EntryId
    new_status: ModelServiceStatus
    reason: str | None
    consecutive_failures: int


class RouteHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One route's transitions, oldest first; see `projections.route.Route` for the stamps."""

    route_id: UUID
    session_id: UUID | None = None
    listed_at: EntryId = START
    absent_at: EntryId = START
    started_at: EntryId = START
    transitions: tuple[Transition, ...] = ()

    @property
    def health(self) -> Health:
        """What it is now; a start is the start of another process, not checked yet."""
        if not self.transitions or self.transitions[-1].at < self.started_at:
            return "not_checked"
        return self.transitions[-1].new_status

    @property
    def since(self) -> EntryId:
        """The event that began its present health, `START` where none did."""
        if self.health == "not_checked":
            return self.started_at
        since = START
        for transition in reversed(self.transitions):
            if transition.new_status != self.health or transition.at < self.started_at:
                break
            since = transition.at
        return since


class EndpointHealth(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The health of all routes of one endpoint."""

    endpoint_id: UUID
    version: EntryId = START
    destroyed_at: EntryId = START
    list_at: EntryId = START
    routes: dict[UUID, RouteHealth] = {}


class ShownHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One route as the document shows it: its health and since when, before how it came to be."""

    route_id: UUID
    session_id: UUID | None = None
    health: Health
    since: EntryId
    listed_at: EntryId = START
    absent_at: EntryId = START
    started_at: EntryId = START
    transitions: tuple[Transition, ...] = ()


class HealthDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The JSON document of one endpoint's health; stamps are `[ms, seq]`."""

    revision: int
    endpoint_id: UUID
    version: EntryId
    routes: list[ShownHealth]
    destroyed_at: EntryId = START
    list_at: EntryId = START


def evolve(state: EndpointHealth, recorded: RecordedEvent) -> EndpointHealth:
    """Return the health after one more event, in whatever order they come."""
    at = recorded.entry_id
    event = recorded.event
    if state.destroyed_at > START and not isinstance(event, EndpointDestroyedEvent):
        after = state
    else:
        change = _CHANGES.get(type(event))
        after = state if change is None else change(state, event, at)
    if at > after.version:
        return replace(after, version=at)
    return state if after == state else after


def _destroyed(
    state: EndpointHealth, _event: EndpointDestroyedEvent, at: EntryId
) -> EndpointHealth:
    first = min(at, state.destroyed_at) if state.destroyed_at > START else at
    return EndpointHealth(endpoint_id=state.endpoint_id, version=state.version, destroyed_at=first)


def _listed(
    state: EndpointHealth, event: EndpointRouteListUpdatedEvent, at: EntryId
) -> EndpointHealth:
    routes = listed(
        state.routes,
        event.routes,
        at,
        newest_at=state.list_at,
        present=_present,
        absent=_absent,
        fresh=_unheard_of,
    )
    return replace(state, routes=routes, list_at=max(state.list_at, at))


def _route_created(state: EndpointHealth, event: RouteCreatedEvent, at: EntryId) -> EndpointHealth:
    record = event.route
    return _with_route(state, record.route_id, at, lambda route: _present(route, record, at))


def _route_started(state: EndpointHealth, event: RouteStartedEvent, at: EntryId) -> EndpointHealth:
    return _with_route(
        state,
        event.route_id,
        at,
        lambda route: replace(route, started_at=max(route.started_at, at)),
    )


def _status_changed(
    state: EndpointHealth, event: ModelServiceStatusEvent, at: EntryId
) -> EndpointHealth:
    return _with_route(state, event.route_id, at, lambda route: _observed(route, event, at))


_CHANGES: dict[type[Event], Callable[[EndpointHealth, Any, EntryId], EndpointHealth]] = {
    EndpointDestroyedEvent: _destroyed,
    EndpointRouteListUpdatedEvent: _listed,
    RouteCreatedEvent: _route_created,
    RouteStartedEvent: _route_started,
    ModelServiceStatusEvent: _status_changed,
}


def _with_route(
    state: EndpointHealth,
    route_id: UUID,
    at: EntryId,
    change: Callable[[RouteHealth], RouteHealth],
) -> EndpointHealth:
    """Change one route, unless what happened lies before it was last absent."""
    known = state.routes.get(route_id)
    before = known or _unheard_of(route_id, state.list_at)
    if at <= before.absent_at:
        return state
    routes = {**state.routes, route_id: change(before)}
    return replace(state, routes=in_order(routes) if known is None else routes)


def _unheard_of(route_id: UUID, absent_at: EntryId) -> RouteHealth:
    return RouteHealth(route_id=route_id, absent_at=absent_at)


def _observed(route: RouteHealth, event: ModelServiceStatusEvent, at: EntryId) -> RouteHealth:
    if any(transition.at == at for transition in route.transitions):
        return route
    new = Transition(at, event.new_status, event.reason, event.consecutive_failures)
    transitions = sorted((*route.transitions, new), key=lambda transition: transition.at)
    return replace(route, transitions=tuple(transitions[-TRANSITIONS_MAX:]))


def _present(route: RouteHealth, record: RouteRecord, at: EntryId) -> RouteHealth:
    if at <= max(route.listed_at, route.absent_at):
        return route
    return replace(route, session_id=record.session_id, listed_at=at)


def _absent(route: RouteHealth, at: EntryId) -> RouteHealth | None:
    """Keep of the route only what was said after *at*."""
    if at <= route.absent_at:
        return route
    transitions = tuple(t for t in route.transitions if t.at > at)
    started_at = route.started_at if route.started_at > at else START
    if route.listed_at > at:
        return replace(route, absent_at=at, started_at=started_at, transitions=transitions)
    if not transitions and started_at <= START:
        return None
    return replace(_unheard_of(route.route_id, at), started_at=started_at, transitions=transitions)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(HealthDocument)


def encode(state: EndpointHealth, revision: int) -> bytes:
    """Return the document of *state*."""
    return _ENCODER.encode(
        HealthDocument(
            revision=revision,
            endpoint_id=state.endpoint_id,
            version=state.version,
            routes=[_shown(route) for route in state.routes.values()],
            destroyed_at=state.destroyed_at,
            list_at=state.list_at,
        )
    )


def _shown(route: RouteHealth) -> ShownHealth:
    return ShownHealth(health=route.health, since=route.since, **asdict(route))


def _held(shown: ShownHealth) -> RouteHealth:
    return RouteHealth(
        route_id=shown.route_id,
        session_id=shown.session_id,
        listed_at=shown.listed_at,
        absent_at=shown.absent_at,
        started_at=shown.started_at,
        transitions=shown.transitions,
    )


def decode(document: bytes) -> tuple[int, EndpointHealth]:
    """Return the revision and the state of *document*.

    Raises:
        UnreadableDocumentError: It is not what this release writes.
    """
    try:
        read = _DECODER.decode(document)
    except msgspec.DecodeError as error:
        raise UnreadableDocumentError(f"health-state document: {error}") from None
    return read.revision, EndpointHealth(
        endpoint_id=read.endpoint_id,
        version=read.version,
        destroyed_at=read.destroyed_at,
        list_at=read.list_at,
        routes={shown.route_id: _held(shown) for shown in read.routes},
    )


HEALTH_STATE = Projection(
    name="health-state",
    version=1,
    initial=lambda endpoint_id: EndpointHealth(endpoint_id=endpoint_id),
    evolve=evolve,
    encode=encode,
    decode=decode,
)
