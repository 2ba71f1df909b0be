"""Histories: what happened to one endpoint, its few routes coming, going and coming back."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from events.catalogue.endpoint import (
    EndpointCreatedEvent,
    EndpointDestroyedEvent,
    EndpointHealthCheckUpdatedEvent,
    EndpointReadyEvent,
    EndpointReplicasUpdatedEvent,
    Owner,
)
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus, ModelServiceStatusEvent
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
    StartPhase,
    TrafficStatus,
    TrafficSwitchedEvent,
)
from events.catalogue.route_flapping import RouteFlappingEvent
from events.catalogue.traffic_split import Rollout, TrafficSplitUpdatedEvent
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata, RecordedEvent, fold
from projections import catalogue
from projections.health_state.endpoint_health import EndpointHealth
from projections.health_state.health_state import HEALTH_STATE
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.route_table import ROUTE_TABLE

E = UUID(int=0xE)
ROUTES = tuple(UUID(int=0xA0 + number) for number in range(3))
SESSIONS = (UUID(int=0x51), UUID(int=0x52))
OBSERVED = datetime(2026, 1, 31, 22, tzinfo=UTC)
PROJECTIONS = tuple(catalogue.PROJECTIONS.values())


def at(place: int) -> EntryId:
    """Return the id of the entry at *place*; its texts do not sort as its numbers do."""
    return EntryId(7 + place // 4, place % 4 * 5)


def recorded(event: Event, entry_id: EntryId) -> RecordedEvent:
    """Return *event* as it would be read back."""
    return RecordedEvent(entry_id, 0, event, "", "test", Metadata())


def history(*events: Event) -> list[RecordedEvent]:
    """Return *events* as the log has them: the first at `at(1)`."""
    return [recorded(event, at(place)) for place, event in enumerate(events, start=1)]


FIT = Route(
    route_id=UUID(int=1),
    session_id=None,
    app="",
    kernel_host="10.0.0.1",
    kernel_port=80,
    protocol="http",
    traffic_ratio=1.0,
    status="running",
    health="healthy",
    listed_at=EntryId(1, 0),
)
"""A route that gets traffic, whether its endpoint has a health check or not."""


def endpoint_of(events: Iterable[RecordedEvent]) -> Endpoint:
    """Fold *events* into the route table's endpoint."""
    return fold(ROUTE_TABLE.evolve, ROUTE_TABLE.initial(E), events)


def health_of(events: Iterable[RecordedEvent]) -> EndpointHealth:
    """Fold *events* into the health state's endpoint."""
    return fold(HEALTH_STATE.evolve, HEALTH_STATE.initial(E), events)


def created(**fields: Any) -> EndpointCreatedEvent:  # noqa: ANN401 - the event's fields
    return EndpointCreatedEvent(**{"endpoint_id": E, "name": "chat", "model": "llama", **fields})


def record(route: int = 0, **fields: Any) -> RouteRecord:  # noqa: ANN401 - the record's fields
    return RouteRecord(**{"route_id": ROUTES[route], **fields})


def listed(*records: RouteRecord) -> EndpointRouteListUpdatedEvent:
    return EndpointRouteListUpdatedEvent(endpoint_id=E, routes=records)


def route_created(route: int = 0, **fields: Any) -> RouteCreatedEvent:  # noqa: ANN401 - the record's
    return RouteCreatedEvent(endpoint_id=E, route=record(route, **fields))


def started(route: int = 0, **fields: Any) -> RouteStartedEvent:  # noqa: ANN401 - the event's fields
    given = {"kernel_host": "10.0.0.1", "kernel_port": 30_000, "session_id": SESSIONS[0], **fields}
    return RouteStartedEvent(endpoint_id=E, route_id=ROUTES[route], **given)


def terminating(route: int = 0, **fields: Any) -> RouteTerminatingEvent:  # noqa: ANN401
    return RouteTerminatingEvent(endpoint_id=E, route_id=ROUTES[route], **fields)


def drained(route: int = 0, reason: str | None = None) -> RouteDrainedEvent:
    return RouteDrainedEvent(endpoint_id=E, route_id=ROUTES[route], reason=reason)


def terminated(route: int = 0, *, remaining: Sequence[int] | None = None) -> RouteTerminatedEvent:
    kept = None if remaining is None else tuple(ROUTES[one] for one in remaining)
    return RouteTerminatedEvent(endpoint_id=E, route_id=ROUTES[route], remaining=kept)


def failed(route: int = 0, *errors: str, during: StartPhase | None = None) -> RouteFailedEvent:
    return RouteFailedEvent(endpoint_id=E, route_id=ROUTES[route], errors=errors, during=during)


def eviction_proposed(route: int = 0, reason: str = "unhealthy") -> RouteEvictionProposedEvent:
    return RouteEvictionProposedEvent(endpoint_id=E, route_id=ROUTES[route], reason=reason)


def wanted(replicas: int) -> EndpointReplicasUpdatedEvent:
    return EndpointReplicasUpdatedEvent(endpoint_id=E, replicas=replicas)


def ready(replicas: int = 1) -> EndpointReadyEvent:
    return EndpointReadyEvent(endpoint_id=E, replicas=replicas)


def weighted(traffic_ratio: float, route: int = 0) -> RouteTrafficRatioUpdatedEvent:
    return RouteTrafficRatioUpdatedEvent(
        endpoint_id=E, route_id=ROUTES[route], traffic_ratio=traffic_ratio
    )


def switched(
    traffic_status: TrafficStatus, route: int | None = 0, reason: str | None = None
) -> TrafficSwitchedEvent:
    return TrafficSwitchedEvent(
        endpoint_id=E,
        route_id=None if route is None else ROUTES[route],
        traffic_status=traffic_status,
        reason=reason,
    )


def split(
    shares: dict[str, float], rollout: Rollout | None = None, reason: str | None = None
) -> TrafficSplitUpdatedEvent:
    return TrafficSplitUpdatedEvent(endpoint_id=E, shares=shares, rollout=rollout, reason=reason)


def observed(new_status: ModelServiceStatus, route: int = 0, **fields: Any) -> Event:  # noqa: ANN401
    return ModelServiceStatusEvent(
        endpoint_id=E, route_id=ROUTES[route], new_status=new_status, observed_at=OBSERVED, **fields
    )


def flapping(route: int = 0, *, on: bool, reason: str | None = None) -> RouteFlappingEvent:
    return RouteFlappingEvent(
        endpoint_id=E, route_id=ROUTES[route], flapping=on, reason=reason, observed_at=OBSERVED
    )


def checked(health_check: HealthCheck | None) -> EndpointHealthCheckUpdatedEvent:
    return EndpointHealthCheckUpdatedEvent(endpoint_id=E, health_check=health_check)


def destroyed() -> EndpointDestroyedEvent:
    return EndpointDestroyedEvent(endpoint_id=E)


_VARIANTS: tuple[dict[str, Any], ...] = (
    {
        "session_id": SESSIONS[0],
        "kernel_host": "10.0.0.3",
        "kernel_port": 30_003,
        "traffic_ratio": 0.25,
        "status": "running",
        "labels": {"zone": "a", "role": "decode"},
    },
    {"app": "vllm", "protocol": "grpc", "traffic_ratio": 0.5, "labels": {"zone": "b"}},
    {"session_id": SESSIONS[1], "kernel_host": "10.0.0.4", "status": "terminating"},
)


def _of_route(route: int) -> list[Event]:
    return [
        *(route_created(route, **fields) for fields in _VARIANTS),
        started(route),
        started(route, kernel_host="10.0.0.2", session_id=SESSIONS[1], app="tgi"),
        started(route, protocol="h2", labels={"zone": "c"}),
        started(route, labels={}),
        terminating(route),
        terminating(route, reason="scale down", drain_s=5.0),
        drained(route),
        drained(route, "idle"),
        terminated(route),
        failed(route, "no GPU"),
        failed(route, "no image", during="provisioning"),
        failed(route, during="running"),
        eviction_proposed(route),
        eviction_proposed(route, "unhealthy for 600 s"),
        weighted(0.0, route),
        weighted(0.75, route),
        switched("inactive", route, "repair"),
        switched("active", route),
        observed("healthy", route, reason="first success"),
        observed("healthy", route),
        flapping(route, on=True, reason="6 changes within 600 s"),
        flapping(route, on=False),
        observed("unhealthy", route, reason="HTTP 503", consecutive_failures=3),
        observed("unhealthy", route, reason="timeout", consecutive_failures=4),
    ]


_LISTS = [
    listed(*(record(route, **fields) for route in routes))
    for routes in ((), (0,), (1,), (0, 1), (0, 2), (0, 1, 2))
    for fields in _VARIANTS
]
_REMAINING = [
    terminated(route, remaining=remaining)
    for route, remaining in ((0, ()), (0, (1, 2)), (1, (0,)), (2, (0,)), (2, (0, 1)))
]
_OF_THE_ENDPOINT = [
    *(created(), created(name="code", health_check=HealthCheck(path="/a"))),
    *(created(labels={"tier": "gold"}), created(owner=Owner(domain="default", user="kim"))),
    *(switched("inactive", None, "moved"), switched("active", None)),
    *(checked(None), checked(HealthCheck(path="/b", interval=5.0))),
    *(split({"v1": 95.0, "v2": 5.0}, Rollout(to="v2", back={"v1": 1.0})), split({}, None, "off")),
    *(wanted(2), wanted(0), ready(), ready(2)),
]
happening = st.one_of(
    st.sampled_from(_of_route(0)),
    st.sampled_from([*_of_route(1), *_of_route(2)]),
    st.sampled_from(_LISTS),
    st.sampled_from(_REMAINING),
    st.sampled_from(_OF_THE_ENDPOINT),
)


@st.composite
def histories(draw: st.DrawFn) -> list[RecordedEvent]:
    """Draw the history of one endpoint, seldom with its end in it."""
    least = draw(st.sampled_from([1, 5, 10, 20]))
    events = draw(st.lists(happening, min_size=least, max_size=24))
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 0, 0, 0, 0, 1, 2]))):
        events.insert(draw(st.integers(0, len(events))), destroyed())
    return history(*events)


@st.composite
def deliveries_of(draw: st.DrawFn, events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    """Draw an order in which *events* are delivered, some of them again and again."""
    again = draw(st.lists(st.sampled_from(events), max_size=8))
    return list(draw(st.permutations([*events, *again])))
