"""Define the health of an endpoint's routes as the health state keeps it, and its document."""

from typing import Any
from uuid import UUID

import msgspec

from events.entry.entry_id import START, EntryId
from projections.health_state.transitions import Transition, Transitions
from projections.route_table.route import Health


class RouteHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One route's transitions; see `projections.route_table.route.Route` for the stamps."""

    route_id: UUID
    session_id: UUID | None = None
    listed_at: EntryId = START
    absent_at: EntryId = START
    started_at: EntryId = START
    packed: Transitions = Transitions()
    kept_at: EntryId = START

    @property
    def transitions(self) -> tuple[Transition, ...]:
        """The transitions that led to its health, oldest first."""
        return tuple(self.packed)

    @property
    def health(self) -> Health:
        """The current health; a start begins another process, which is not checked yet."""
        packed = self.packed
        if not packed.contents or packed.ends_before(self.started_at):
            return "not_checked"
        return packed.contents[-1][0]

    @property
    def is_gone(self) -> bool:
        """Whether all that is known of it is when it was gone."""
        return not self.packed and max(self.listed_at, self.started_at, self.kept_at) <= START

    @property
    def since(self) -> EntryId:
        """The event that began its present health, `START` where none did."""
        if self.health == "not_checked":
            return self.started_at
        return self.packed.status_since(self.started_at)


class EndpointHealth(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The health of all routes of one endpoint."""

    endpoint_id: UUID
    version: EntryId = START
    destroyed_at: EntryId = START
    list_at: EntryId = START
    routes: dict[UUID, RouteHealth] = {}


class ShownHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One route as the document shows it: its health and since when, before its transitions."""

    route_id: UUID
    session_id: UUID | None = None
    health: Health
    since: EntryId
    listed_at: EntryId = START
    absent_at: EntryId = START
    started_at: EntryId = START
    transitions: tuple[Transition, ...] = ()
    kept_at: EntryId = START


class HealthDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The JSON document of one endpoint's health; stamps are `[ms, seq]`."""

    revision: int
    endpoint_id: UUID
    version: EntryId
    routes: list[ShownHealth]
    destroyed_at: EntryId = START
    list_at: EntryId = START


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
    transitions: Any = route.packed.rows()  # they have the same JSON as transitions
    return ShownHealth(
        route_id=route.route_id,
        session_id=route.session_id,
        health=route.health,
        since=route.since,
        listed_at=route.listed_at,
        absent_at=route.absent_at,
        started_at=route.started_at,
        transitions=transitions,
        kept_at=route.kept_at,
    )


def _packed(shown: ShownHealth) -> RouteHealth:
    return RouteHealth(
        route_id=shown.route_id,
        session_id=shown.session_id,
        listed_at=shown.listed_at,
        absent_at=shown.absent_at,
        started_at=shown.started_at,
        packed=Transitions.of(shown.transitions),
        kept_at=shown.kept_at,
    )


def decode(document: bytes) -> tuple[int, EndpointHealth]:
    """Return the revision and the state of *document*; `Projection.read` is the way to call it."""
    read = _DECODER.decode(document)
    routes = {shown.route_id: _packed(shown) for shown in read.routes}
    return read.revision, EndpointHealth(
        endpoint_id=read.endpoint_id,
        version=read.version,
        destroyed_at=read.destroyed_at,
        list_at=read.list_at,
        routes=routes,
    )
