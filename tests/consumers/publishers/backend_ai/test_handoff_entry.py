from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from consumers.publishers.backend_ai.handoff_entry import handoff_table
from consumers.publishers.backend_ai.settings import BackendAISettings
from events.catalogue.health_check import HealthCheck, Tls
from events.catalogue.model_service import ModelServiceStatus, ModelServiceStatusEvent
from events.catalogue.route import RouteRecord
from events.entry.recorded import RecordedEvent
from producers.backend_ai.handoff_key import HandoffKey
from producers.backend_ai.route_list import routes
from projections.route_table.endpoint import Endpoint
from projections.route_table.routing import routable
from tests.consumers.publishers.support.appproxy_snapshots import E, endpoint, route, snapshot
from tests.support.histories import OBSERVED, created, endpoint_of, histories, history, listed
from tests.support.histories import E as HISTORY

PREFIX = f"endpoint.{E}."
QUIET = BackendAISettings(placeholder="")
CHECKING = BackendAISettings(coordinator_checks=True)


def keys(
    state: Endpoint, settings: BackendAISettings = QUIET
) -> tuple[Mapping[str, bytes], tuple[str, ...]]:
    table = handoff_table(snapshot(state), settings)
    [entry] = table.entries.values()
    return entry.values, entry.absent


def test_routes_and_weights_are_these_bytes() -> None:
    values, absent = keys(endpoint(route(1, traffic_ratio=3.0), route(2)))
    assert values == {
        PREFIX + "route_connection_info": (
            b'{"api":[{"session_id":"00000000-0000-4000-8000-0000000000a1",'
            b'"route_id":"00000000-0000-4000-8000-0000000000b1",'
            b'"kernel_host":"10.0.0.1","kernel_port":30001},'
            b'{"session_id":"00000000-0000-4000-8000-0000000000a2",'
            b'"route_id":"00000000-0000-4000-8000-0000000000b2",'
            b'"kernel_host":"10.0.0.1","kernel_port":30002}]}'
        ),
        PREFIX + "health_check_enabled": b"false",
        PREFIX + "session.00000000-0000-4000-8000-0000000000a1.traffic_ratio": b"3.0",
        PREFIX + "session.00000000-0000-4000-8000-0000000000a2.traffic_ratio": b"1.0",
    }
    assert absent == (PREFIX + "health_check_config",)


def test_shares_of_revisions_are_whole_weights() -> None:
    routes = [
        *(route(n, labels={"revision": "v1"}) for n in (1, 2)),
        route(3, labels={"revision": "v2"}),
    ]
    values, _ = keys(replace(endpoint(*routes), split={"v1": 95.0, "v2": 5.0}))
    weights = [float(value) for key, value in values.items() if key.endswith("traffic_ratio")]
    assert weights == [4_750.0, 4_750.0, 500.0]


def test_a_health_check_of_the_coordinator_is_these_bytes_without_a_null() -> None:
    check = HealthCheck(path="/ready", interval=30, max_retries=3)
    state = endpoint(route(1), health_check=check)
    values, absent = keys(state, CHECKING)
    assert values[PREFIX + "health_check_enabled"] == b"true"
    assert values[PREFIX + "health_check_config"] == (
        b'{"interval":30.0,"path":"/ready","max_retries":3,"max_wait_time":15.0,'
        b'"expected_status_code":200,"initial_delay":60.0}'
    )
    assert absent == ()


def test_a_status_that_coordinators_refuse_leaves_the_endpoint_unchecked() -> None:
    check = HealthCheck(path="/", expected_status_code=100)
    table = handoff_table(snapshot(endpoint(route(1), health_check=check)), CHECKING)
    assert table.entries[E].values[PREFIX + "health_check_enabled"] == b"false"
    assert [refusal.subject for refusal in table.refusals] == ["chat"]


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (HealthCheck(kind="tcp"), "is of kind tcp"),
        (HealthCheck(path="/", tls=Tls(), headers={"a": "b"}), "has headers, tls"),
        (HealthCheck(path="/", expected_status="200-299"), "has expected_status"),
    ],
)
def test_a_check_that_coordinators_cannot_make_leaves_the_endpoint_unchecked(
    check: HealthCheck, why: str
) -> None:
    table = handoff_table(snapshot(endpoint(route(1), health_check=check)), CHECKING)
    assert table.entries[E].values[PREFIX + "health_check_enabled"] == b"false"
    [refusal] = table.refusals
    assert why in refusal.why


def test_what_only_makes_a_check_stricter_is_left_out_for_coordinators() -> None:
    check = HealthCheck(path="/ready", rise=2, body_contains="ok", warm_up_time=9)
    values, _ = keys(endpoint(route(1), health_check=check), CHECKING)
    config = msgspec.json.decode(values[PREFIX + "health_check_config"])
    assert sorted(config) == sorted(
        (
            "interval",
            "path",
            "max_retries",
            "max_wait_time",
            "expected_status_code",
            "initial_delay",
        )
    )


def test_no_routes_are_an_empty_object_or_a_place_where_nobody_serves_a_model() -> None:
    info = PREFIX + "route_connection_info"
    assert keys(endpoint())[0][info] == b"{}"
    served = BackendAISettings(placeholder="10.0.0.9:8003")
    assert keys(endpoint(), served)[0][info] == (
        b'{"api":[{"session_id":"00000000-0000-4000-8000-0000000000e1",'
        b'"route_id":"00000000-0000-4000-8000-0000000000e1",'
        b'"kernel_host":"10.0.0.9","kernel_port":8003}]}'
    )


@pytest.mark.parametrize(
    ("ratios", "weights"),
    [
        ((0.5, 0.25), (b"6667.0", b"3333.0")),
        ((1.0, 2.0), (b"1.0", b"2.0")),
        ((0.25,), (b"10000.0",)),
        ((1.0, 1e-9), (b"10000.0", b"1.0")),
    ],
)
def test_weights_are_whole_for_a_reader_that_cuts_fractions_off(
    ratios: tuple[float, ...], weights: tuple[bytes, ...]
) -> None:
    routes = [route(n, traffic_ratio=ratio) for n, ratio in enumerate(ratios, start=1)]
    values, _ = keys(endpoint(*routes))
    assert tuple(v for key, v in values.items() if key.endswith("traffic_ratio")) == weights


def told(record: RouteRecord, status: ModelServiceStatus) -> ModelServiceStatusEvent:
    return ModelServiceStatusEvent(
        endpoint_id=HISTORY,
        route_id=record.route_id,
        session_id=record.session_id,
        new_status=status,
        observed_at=OBSERVED,
    )


def test_the_health_of_each_session_is_said_as_far_as_it_is_known() -> None:
    records = [route(1), route(2), route(3, session_id=None)]
    state = endpoint_of(
        history(
            created(health_check=HealthCheck(path="/")),
            listed(*records),
            *(told(record, "healthy") for record in (records[0], records[2])),
            told(records[1], "unhealthy"),
        )
    )
    assert handoff_table(snapshot(state), QUIET).statuses == {
        records[0].session_id: "healthy",
        records[1].session_id: "unhealthy",
    }


@given(events=histories(), checks=st.booleans())
def test_our_own_reader_of_a_managers_keys_reads_the_same_routes(
    events: list[RecordedEvent], *, checks: bool
) -> None:
    state = endpoint_of(events)
    settings = BackendAISettings(placeholder="", coordinator_checks=checks)
    table = handoff_table(snapshot(state), settings)
    [entry] = table.entries.values()
    assert not any(b"null" in value for value in entry.values.values())
    values = {HandoffKey.parse(key.encode()): value for key, value in entry.values.items()}
    said = routes(state, {key: value for key, value in values.items() if key is not None})
    assert said.problems == ()
    read = {record.route_id: record for record in said.routes}
    known = {one.route_id: one for one in routable(state)}
    assert read.keys() <= known.keys()
    assert len(read) + len(table.refusals) >= len(known)
    for route_id, record in read.items():
        assert record.kernel_host == known[route_id].kernel_host
        assert record.kernel_port == known[route_id].kernel_port
        assert record.traffic_ratio == int(record.traffic_ratio) >= 1
