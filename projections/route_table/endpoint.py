"""Define the endpoint as the route table keeps it, and its document."""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from events.catalogue.endpoint import Owner
from events.catalogue.health_check import HealthCheck
from events.catalogue.route import TrafficStatus
from events.catalogue.traffic_split import Rollout
from events.entry.entry_id import START, EntryId
from projections.route_set import in_order
from projections.route_table.route import Route, unknown_route
from projections.route_table.shared_values import NONE, share_values, shared, shared_check

FAILURES_MAX = 32
"""Failures to start that are remembered of an endpoint, the newest ones."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The state of one endpoint: the newest stamp seen is its *version*.

    *owner* and *labels* are those that it was created with, at *created_at*. *split* has the shares
    of the traffic by revision, none where it is not split; *rollout* is what that is a step of.

    Attributes:
        replicas: How many routes are wanted; None where nobody has said so.
        failures: The newest events of routes that failed to start, since *ready_at*.
        ready_at: When all wanted replicas were last found healthy after such failures.
    """

    endpoint_id: UUID
    version: EntryId = START
    name: str | None = None
    model: str | None = None
    runtime_variant: str | None = None
    open_to_public: bool = False
    owner: Owner | None = None
    labels: dict[str, str] = {}
    created_at: EntryId = START
    health_check: HealthCheck | None = None
    health_check_at: EntryId = START
    destroyed_at: EntryId = START
    list_at: EntryId = START
    traffic_status: TrafficStatus = "active"
    traffic_reason: str | None = None
    traffic_at: EntryId = START
    split: dict[str, float] = {}
    split_reason: str | None = None
    rollout: Rollout | None = None
    split_at: EntryId = START
    replicas: int | None = None
    replicas_at: EntryId = START
    failures: tuple[EntryId, ...] = ()
    ready_at: EntryId = START
    routes: dict[UUID, Route] = {}

    @property
    def is_destroyed(self) -> bool:
        """Whether a destroy event was seen; it is final."""
        return self.destroyed_at > START

    @property
    def present_routes(self) -> list[Route]:
        """The routes that the endpoint has."""
        return [route for route in self.routes.values() if route.listed_at > START]


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The JSON document of one endpoint; stamps are `[ms, seq]`.

    *awaiting* are routes with an event from before they were listed. *gone* are routes of which
    only is known when they were gone; it is remembered until an event says which routes there are.
    """

    revision: int
    endpoint_id: UUID
    version: EntryId
    name: str | None
    model: str | None
    runtime_variant: str | None
    open_to_public: bool
    health_check: HealthCheck | None
    routes: list[Route]
    awaiting: list[Route] = []
    gone: dict[UUID, EntryId] = {}
    owner: Owner | None = None
    labels: dict[str, str] = {}
    created_at: EntryId = START
    health_check_at: EntryId = START
    destroyed_at: EntryId = START
    list_at: EntryId = START
    traffic_status: TrafficStatus = "active"
    traffic_reason: str | None = None
    traffic_at: EntryId = START
    split: dict[str, float] = {}
    split_reason: str | None = None
    rollout: Rollout | None = None
    split_at: EntryId = START
    replicas: int | None = None
    replicas_at: EntryId = START
    failures: tuple[EntryId, ...] = ()
    ready_at: EntryId = START


def failures_after(ready_at: EntryId, failures: Iterable[EntryId]) -> tuple[EntryId, ...]:
    """Return the newest of *failures* since *ready_at*, in their order, each once."""
    return tuple(sorted({at for at in failures if at > ready_at})[-FAILURES_MAX:])


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Document)


def encode(state: Endpoint, revision: int) -> bytes:
    """Return the document of *state*."""
    present = state.present_routes
    awaiting: list[Route] = []
    gone: dict[UUID, EntryId] = {}
    if len(present) < len(state.routes):
        awaiting = [route for route in state.routes.values() if route.listed_at <= START]
        gone = {route.route_id: route.absent_at for route in awaiting if is_gone(route)}
        awaiting = [route for route in awaiting if route.route_id not in gone]
    return _ENCODER.encode(
        Document(
            revision=revision,
            endpoint_id=state.endpoint_id,
            version=state.version,
            name=state.name,
            model=state.model,
            runtime_variant=state.runtime_variant,
            open_to_public=state.open_to_public,
            health_check=state.health_check,
            routes=present,
            awaiting=awaiting,
            gone=gone,
            owner=state.owner,
            labels=state.labels,
            created_at=state.created_at,
            health_check_at=state.health_check_at,
            destroyed_at=state.destroyed_at,
            list_at=state.list_at,
            traffic_status=state.traffic_status,
            traffic_reason=state.traffic_reason,
            traffic_at=state.traffic_at,
            split=state.split,
            split_reason=state.split_reason,
            rollout=state.rollout,
            split_at=state.split_at,
            replicas=state.replicas,
            replicas_at=state.replicas_at,
            failures=state.failures,
            ready_at=state.ready_at,
        )
    )


def is_gone(route: Route) -> bool:
    """Whether all that is known of the route is when it was gone."""
    return route == unknown_route(route.route_id, route.absent_at)


def decode(document: bytes) -> tuple[int, Endpoint]:
    """Return the revision and the state of *document*; `Projection.read` is the way to call it."""
    read = _DECODER.decode(document)
    share_values(read.routes, (read.version, read.created_at, read.list_at))
    routes = {route.route_id: route for route in read.routes}
    if read.awaiting or read.gone:
        routes |= {route.route_id: route for route in read.awaiting}
        routes |= {route_id: unknown_route(route_id, at) for route_id, at in read.gone.items()}
        routes = in_order(routes)
    return read.revision, Endpoint(
        endpoint_id=read.endpoint_id,
        version=read.version,
        name=read.name,
        model=shared(read.model),
        runtime_variant=shared(read.runtime_variant),
        open_to_public=read.open_to_public,
        owner=read.owner,
        labels=read.labels or NONE,
        created_at=read.created_at,
        health_check=shared_check(read.health_check),
        health_check_at=read.health_check_at,
        destroyed_at=read.destroyed_at,
        list_at=read.list_at,
        traffic_status=read.traffic_status,
        traffic_reason=read.traffic_reason,
        traffic_at=read.traffic_at,
        split=read.split or NONE,
        split_reason=read.split_reason,
        rollout=read.rollout,
        split_at=read.split_at,
        replicas=read.replicas,
        replicas_at=read.replicas_at,
        failures=read.failures,
        ready_at=read.ready_at,
        routes=routes,
    )
