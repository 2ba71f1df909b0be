"""Events of an endpoint's routes."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from events.catalogue.event import Event, Upcaster
from events.catalogue.labels import Labels
from events.catalogue.upcasters import route_failed_v1_v2, route_terminating_v1_v2
from events.errors import InvalidEventError

ROUTES_MAX = 1_000
"""Routes that one endpoint may have."""

RouteStatus = Literal["provisioning", "running", "terminating", "terminated", "failed"]
TrafficStatus = Literal["active", "inactive"]
Protocol = Literal["http", "h2", "grpc", "tcp", "preopen"]
Host = Annotated[str, Meta(pattern=r"^[^\s/]+\Z(?#have no slash and no space)", max_length=255)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
TrafficRatio = Annotated[float, Meta(ge=0, le=1_000_000)]
"""A weight: finite, and without a unit; what counts is its part of the sum over the routes."""
Reason = Annotated[str, Meta(max_length=1_024)]
StartPhase = Literal["provisioning", "warming_up", "running"]
DrainTime = Annotated[float, Meta(ge=0, le=86_400)]


class RouteRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One route (a replica of the model) as an event describes it.

    *kernel_host* and *kernel_port* are None until its session has an address. *traffic_ratio* is
    its weight among the routes that get traffic; 0 means none. *labels* are at most 64; keys by
    convention are `role`, `zone`, `revision` and `model`. Entries of releases that knew no labels
    have none.
    """

    route_id: UUID
    session_id: UUID | None = None
    app: Annotated[str, Meta(max_length=256)] = ""
    kernel_host: Host | None = None
    kernel_port: Port | None = None
    protocol: Protocol = "http"
    traffic_ratio: TrafficRatio = 1.0
    status: RouteStatus = "provisioning"
    labels: Labels = {}

    def __hash__(self) -> int:
        return hash(self.route_id)  # labels have no hash

    @property
    def has_address(self) -> bool:
        """Whether a proxy could connect to it."""
        return self.kernel_host is not None and self.kernel_port is not None


class EndpointRouteListUpdatedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The endpoint has exactly these routes from now on; none is a valid list."""

    wire_name: ClassVar[str] = "endpoint_route_list_updated"

    routes: Annotated[tuple[RouteRecord, ...], Meta(max_length=ROUTES_MAX)]

    def __post_init__(self) -> None:
        if len({route.route_id for route in self.routes}) < len(self.routes):
            [(duplicate, times)] = Counter(r.route_id for r in self.routes).most_common(1)
            raise InvalidEventError(
                "routes",
                f"route_id {duplicate} stands in the list {times} times, the limit is once",
            )


class RouteCreatedEvent(Event, frozen=True, kw_only=True, gc=False):
    """A route was added; it is provisioning."""

    wire_name: ClassVar[str] = "route_created"

    route: RouteRecord


class RouteStartedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The route's address is known and its session runs: its health check's grace begins.

    The event has no traffic ratio: starting never resets a weight. Nor does it reset the labels
    where it has none (None).
    """

    wire_name: ClassVar[str] = "route_started"

    route_id: UUID
    session_id: UUID | None = None
    app: Annotated[str, Meta(max_length=256)] = ""
    kernel_host: Host
    kernel_port: Port
    protocol: Protocol = "http"
    labels: Labels | None = None

    def __hash__(self) -> int:
        return hash((self.endpoint_id, self.route_id))  # labels have no hash


class RouteTerminatingEvent(Event, frozen=True, kw_only=True, gc=False):
    """The route gets no new traffic from now on; its requests in flight are drained.

    This is final: only a list, or the route's creation anew, brings the route back.

    Attributes:
        reason: Why, for whoever asks at night.
        drain_s: Seconds that its requests in flight may take; None: as the keeper of the
            life-cycle is set.
    """

    wire_name: ClassVar[str] = "route_terminating"
    version: ClassVar[int] = 2
    upcasters: ClassVar[Mapping[int, Upcaster]] = MappingProxyType({1: route_terminating_v1_v2})

    route_id: UUID
    reason: Reason | None = None
    drain_s: DrainTime | None = None


class RouteDrainedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The drain of a terminating route is over: its session may be ended now.

    *reason* says what ended it: no request was left, or the time was over.
    """

    wire_name: ClassVar[str] = "route_drained"

    route_id: UUID
    reason: Reason | None = None


class RouteTerminatedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The route's session is gone, and so is the route, whether it was terminating or not.

    Attributes:
        reason: Why, for whoever asks at night.
        remaining: The ids of all routes that the endpoint has now: every other one is gone, and
            need no longer be remembered. None says nothing of other routes. Only a producer that
            appends with `expected=` can know it.
    """

    wire_name: ClassVar[str] = "route_terminated"

    route_id: UUID
    reason: Reason | None = None
    remaining: Annotated[tuple[UUID, ...], Meta(max_length=ROUTES_MAX)] | None = None

    def __post_init__(self) -> None:
        if self.remaining is not None and self.route_id in self.remaining:
            raise InvalidEventError("remaining", f"{self.route_id} is the route that is gone")


class RouteFailedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The route could not start, or broke for good.

    Attributes:
        errors: What went wrong, at most 32 texts.
        during: What the route was doing when it failed. A failure of one that was provisioning or
            warming up counts as a retry of its endpoint. None where that was not known, as in
            version 1.
    """

    wire_name: ClassVar[str] = "route_failed"
    version: ClassVar[int] = 2
    upcasters: ClassVar[Mapping[int, Upcaster]] = MappingProxyType({1: route_failed_v1_v2})

    route_id: UUID
    errors: Annotated[tuple[Annotated[str, Meta(max_length=4_096)], ...], Meta(max_length=32)] = ()
    during: StartPhase | None = None


class RouteEvictionProposedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The route has been unhealthy for longer than the policy says; somebody should replace it.

    It changes nothing: whether the session is ended is for the manager to decide.
    """

    wire_name: ClassVar[str] = "route_eviction_proposed"

    route_id: UUID
    reason: Reason


class TrafficSwitchedEvent(Event, frozen=True, kw_only=True, gc=False):
    """Traffic was switched on or off for a route, or for the whole endpoint; no weight changes.

    Attributes:
        route_id: The route; None for the endpoint, whose routes keep their own switches.
        traffic_status: `inactive` routes get no traffic, however healthy they are.
        reason: Why, for whoever asks at night.
    """

    wire_name: ClassVar[str] = "traffic_switched"

    route_id: UUID | None = None
    traffic_status: TrafficStatus
    reason: Reason | None = None


class RouteTrafficRatioUpdatedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The route has this weight from now on."""

    wire_name: ClassVar[str] = "route_traffic_ratio_updated"

    route_id: UUID
    traffic_ratio: TrafficRatio
