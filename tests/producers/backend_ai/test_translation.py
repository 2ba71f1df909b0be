from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from events.catalogue.endpoint import (
    EndpointCreatedEvent,
    EndpointDestroyedEvent,
    EndpointHealthCheckUpdatedEvent,
)
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus, ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTrafficRatioUpdatedEvent,
)
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata, RecordedEvent
from producers.backend_ai.handoff_key import MalformedHandoffError
from producers.backend_ai.translation import Translation, TranslationCounts
from producers.backend_ai.wire import MalformedEntryError
from producers.errors import EndpointDestroyedError
from projections.route_table.endpoint import Endpoint

OBSERVED_AT = datetime(2025, 11, 1, tzinfo=UTC)
ENDPOINT, OTHER_ENDPOINT = UUID(int=0xE1), UUID(int=0xE2)
SESSION_A, SESSION_B = UUID(int=0xA1), UUID(int=0xA2)
ROUTE_A = RouteRecord(
    route_id=UUID(int=0xB1),
    session_id=SESSION_A,
    app="vllm",
    kernel_host="10.0.0.1",
    kernel_port=30000,
    status="running",
)
ROUTE_B = msgspec.structs.replace(ROUTE_A, route_id=UUID(int=0xB2), session_id=SESSION_B)


class Recording:
    """A translation with a log in memory: what it returns is folded, with rising entry ids."""

    def __init__(self, *given: Event) -> None:
        self.translation = Translation()
        self.log: list[RecordedEvent] = []
        self._record(given)

    def when(self, *command: object) -> list[Event]:
        args = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in command]
        events = self.translation.translate(args, OBSERVED_AT)
        self._record(events)
        return list(events)

    def _record(self, events: Iterable[Event]) -> None:
        for event in events:
            entry_id = EntryId(1_700_000_000_000, len(self.log) + 1)
            recorded = RecordedEvent(entry_id, 0, event, "", "backend-ai", Metadata())
            self.log.append(recorded)
            self.translation.evolve(recorded)

    def lists(self, *routes: RouteRecord, endpoint_id: UUID = ENDPOINT) -> list[Event]:
        self.hands_over(*routes, endpoint_id=endpoint_id)
        return self.when(*list_updated(endpoint_id))

    def hands_over(self, *routes: RouteRecord, endpoint_id: UUID = ENDPOINT) -> None:
        fields = ("session_id", "route_id", "kernel_host", "kernel_port")
        items = [{name: getattr(route, name) for name in fields} for route in routes]
        apps = msgspec.json.encode({"vllm": items} if items else {})
        assert self.when("SET", f"endpoint.{endpoint_id}.route_connection_info", apps) == []

    @property
    def counts(self) -> TranslationCounts:
        return self.translation.counts

    @property
    def endpoint(self) -> Endpoint:
        return self.translation.endpoints[ENDPOINT]


def list_updated(endpoint_id: UUID = ENDPOINT) -> tuple[object, ...]:
    args = msgspec.msgpack.encode([str(endpoint_id)])
    return ("XADD", "events", "*", "name", "endpoint_route_list_updated", "args", args)


def status_updated(session_id: UUID, new_status: str) -> tuple[object, ...]:
    args = msgspec.msgpack.encode([str(session_id), new_status])
    return ("XADD", "events", "*", "name", "model_service_status_updated", "args", args)


def started(route: RouteRecord) -> RouteStartedEvent:
    assert route.kernel_host is not None
    assert route.kernel_port is not None
    return RouteStartedEvent(
        endpoint_id=ENDPOINT,
        route_id=route.route_id,
        session_id=route.session_id,
        app=route.app,
        kernel_host=route.kernel_host,
        kernel_port=route.kernel_port,
    )


def listed(*routes: RouteRecord) -> EndpointRouteListUpdatedEvent:
    return EndpointRouteListUpdatedEvent(endpoint_id=ENDPOINT, routes=routes)


def unchecked(endpoint_id: UUID = ENDPOINT) -> EndpointHealthCheckUpdatedEvent:
    return EndpointHealthCheckUpdatedEvent(endpoint_id=endpoint_id, health_check=None)


def health(new_status: ModelServiceStatus, route: RouteRecord = ROUTE_A) -> ModelServiceStatusEvent:
    return ModelServiceStatusEvent(
        endpoint_id=ENDPOINT,
        route_id=route.route_id,
        session_id=route.session_id,
        new_status=new_status,
        observed_at=OBSERVED_AT,
    )


def test_an_endpoint_never_seen_begins_with_its_health_check() -> None:
    recording = Recording()
    recording.when("SET", f"endpoint.{ENDPOINT}.health_check_enabled", "true", "EX", "3600")
    recording.when("SET", f"endpoint.{ENDPOINT}.health_check_config", '{"path":"/ready"}')

    assert recording.lists(ROUTE_B, ROUTE_A) == [
        EndpointHealthCheckUpdatedEvent(
            endpoint_id=ENDPOINT, health_check=HealthCheck(path="/ready")
        ),
        listed(ROUTE_A, ROUTE_B),
        started(ROUTE_A),
        started(ROUTE_B),
    ]


def test_an_endpoint_never_seen_may_have_no_routes() -> None:
    recording = Recording()

    assert recording.lists() == [unchecked()]
    assert recording.endpoint.present_routes == []


def test_the_same_list_again_records_nothing() -> None:
    recording = Recording()
    recording.lists(ROUTE_A, ROUTE_B)

    assert recording.lists(ROUTE_B, ROUTE_A) == []
    assert recording.counts == TranslationCounts(handed_over=2, translated=1, unchanged=1, events=4)


def test_only_what_begins_to_run_has_started() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)

    assert recording.lists(ROUTE_A, ROUTE_B) == [listed(ROUTE_A, ROUTE_B), started(ROUTE_B)]


def test_a_list_of_no_routes_withdraws_them_all() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)

    assert recording.lists() == [listed()]


def test_what_others_recorded_before_is_built_upon() -> None:
    recording = Recording(
        EndpointCreatedEvent(endpoint_id=ENDPOINT, name="chat", model="llama"),
        listed(ROUTE_A),
        started(ROUTE_A),
        health("healthy"),
    )

    assert recording.lists(ROUTE_A) == []
    assert recording.when(*status_updated(SESSION_A, "healthy")) == []
    assert recording.when(*status_updated(SESSION_A, "unhealthy")) == [health("unhealthy")]


def test_a_status_finds_its_route_by_session_and_only_a_change_is_recorded() -> None:
    recording = Recording()
    recording.lists(ROUTE_A, ROUTE_B)

    assert recording.when(*status_updated(SESSION_B, "healthy")) == [health("healthy", ROUTE_B)]
    assert recording.when(*status_updated(SESSION_B, "healthy")) == []
    assert recording.counts.unchanged == 1


def test_a_status_outlives_the_next_list() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    recording.when(*status_updated(SESSION_A, "healthy"))
    recording.lists(ROUTE_A, ROUTE_B)

    assert [route.health for route in recording.endpoint.present_routes] == [
        "healthy",
        "not_checked",
    ]


def test_a_status_of_a_session_that_no_list_names_is_unresolved() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    recording.lists()

    assert recording.when(*status_updated(SESSION_A, "healthy")) == []
    assert recording.when(*status_updated(SESSION_B, "healthy")) == []
    assert recording.counts.unresolved == 2


def test_a_session_belongs_to_the_endpoint_that_listed_it_last() -> None:
    recording = Recording()
    recording.lists(ROUTE_A, endpoint_id=OTHER_ENDPOINT)
    recording.lists(ROUTE_A)
    recording.lists(endpoint_id=OTHER_ENDPOINT)

    assert recording.when(*status_updated(SESSION_A, "healthy")) == [health("healthy")]


def test_a_weight_without_a_key_stays_as_it_was_recorded() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    recording._record(
        [
            RouteTrafficRatioUpdatedEvent(
                endpoint_id=ENDPOINT, route_id=ROUTE_A.route_id, traffic_ratio=0.25
            )
        ]
    )
    recording.lists(ROUTE_A, ROUTE_B)

    assert [route.traffic_ratio for route in recording.endpoint.present_routes] == [0.25, 1.0]


def test_a_weight_from_its_key_comes_with_the_next_list() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    recording.when("SET", f"endpoint.{ENDPOINT}.session.{SESSION_A}.traffic_ratio", "0.5")

    assert recording.lists(ROUTE_A) == [listed(msgspec.structs.replace(ROUTE_A, traffic_ratio=0.5))]


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (f"endpoint.{ENDPOINT}.health_check_enabled", "maybe", "neither true nor false"),
        (
            f"endpoint.{ENDPOINT}.route_connection_info",
            f'{{"vllm":[{{"session_id":"{SESSION_A}"}}]}}',
            "missing required field",
        ),
    ],
)
def test_a_broken_value_refuses_the_list_and_the_next_one_is_read(
    key: str, value: str, sentence: str
) -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    recording.hands_over(ROUTE_A, ROUTE_B)
    recording.when("SET", key, value)

    with pytest.raises(MalformedHandoffError, match=f"{key}.*{sentence}"):
        recording.when(*list_updated())
    assert [route.route_id for route in recording.endpoint.present_routes] == [ROUTE_A.route_id]
    assert recording.counts.refused == 1
    assert recording.lists(endpoint_id=OTHER_ENDPOINT) != []


def test_a_broken_weight_refuses_its_route_and_the_others_are_recorded() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    recording.hands_over(ROUTE_B, ROUTE_A)
    recording.when("SET", f"endpoint.{ENDPOINT}.session.{SESSION_A}.traffic_ratio", "2e6")

    assert recording.when(*list_updated()) == [listed(ROUTE_A, ROUTE_B), started(ROUTE_B)]
    [found] = [one for one in recording.translation.problems if one.kind == "route_refused"]
    assert "<= 1000000.0" in found.problem


@pytest.mark.parametrize("routes", [(ROUTE_A, ROUTE_A), (ROUTE_A,) * 1_001])
def test_a_list_that_no_event_may_carry_is_refused_by_its_key(
    routes: tuple[RouteRecord, ...],
) -> None:
    recording = Recording()
    recording.hands_over(*routes)

    with pytest.raises(MalformedHandoffError, match=r"route_connection_info: routes: "):
        recording.when(*list_updated())


def test_a_list_of_a_thousand_routes_is_taken() -> None:
    routes = [
        msgspec.structs.replace(ROUTE_A, route_id=UUID(int=n), session_id=UUID(int=n << 32))
        for n in range(1, 1_001)
    ]

    assert len(Recording().lists(*routes)) == 1_002


def test_a_destroyed_endpoint_takes_no_list() -> None:
    recording = Recording(EndpointDestroyedEvent(endpoint_id=ENDPOINT))

    with pytest.raises(EndpointDestroyedError):
        recording.lists(ROUTE_A)
    assert recording.counts.refused == 1


@pytest.mark.parametrize(
    "command",
    [
        (*list_updated()[:-1], b"\x91\xd8\x01" + ENDPOINT.bytes),
        ("XADD", "events", "*", "name"),
        (*status_updated(SESSION_A, "degraded"),),
        (*status_updated(SESSION_A, "healthy"), "_retry_count", "x"),
    ],
)
def test_an_entry_that_cannot_be_read_is_refused(command: tuple[object, ...]) -> None:
    recording = Recording()
    recording.lists(ROUTE_A)

    with pytest.raises(MalformedEntryError):
        recording.when(*command)
    assert recording.counts.refused == 1


def test_a_copy_of_a_status_never_overturns_newer_news() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    copy = (*status_updated(SESSION_A, "unhealthy"), "_retry_count", "1")

    assert recording.when(*copy) == [health("unhealthy")]
    assert recording.when(*status_updated(SESSION_A, "healthy")) == [health("healthy")]
    assert recording.when(*copy) == []
    assert recording.counts.redelivered == 1


def test_a_copy_of_a_list_updated_takes_what_the_keys_hold_now() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    recording.hands_over(ROUTE_B)

    assert recording.when(*list_updated(), "_retry_count", "4") == [
        listed(ROUTE_B),
        started(ROUTE_B),
    ]


def test_whatever_else_is_said_is_counted_by_kind() -> None:
    recording = Recording()
    for command in [
        (),
        ("PING",),
        ("SET", "x"),
        ("SET", f"session.{SESSION_A}.last_access", "1"),
        ("XADD", "events-appproxy", "*", "name", "endpoint_route_list_updated"),
        ("XADD", "events", "*", "name", "session_started", "args", b"\xc1"),
        ("publish", "events_all", "{}"),
    ]:
        assert recording.when(*command) == []

    assert recording.counts == TranslationCounts(other_commands=5, other_names=1, broadcasts=1)


def test_a_key_that_is_gone_is_not_used() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    for key in list(recording.translation._values):
        recording.translation.hand_over(key, None)

    with pytest.raises(MalformedHandoffError, match="the key is not there, or has expired"):
        recording.when(*list_updated())
