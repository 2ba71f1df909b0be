import re
from typing import Any
from uuid import UUID

import msgspec
import pytest

from events.catalogue.health_check import HealthCheck
from events.catalogue.route import RouteRecord
from events.entry.entry_id import EntryId
from producers.backend_ai import handoff, route_list
from producers.backend_ai.handoff_key import HandoffKey, HandoffValues, MalformedHandoffError
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import present, unknown_route

ENDPOINT = UUID("00000000-0000-4000-8000-0000000000e1")
SESSION = UUID("00000000-0000-4000-8000-0000000000a1")
ROUTE = UUID("00000000-0000-4000-8000-0000000000b1")

LIST = HandoffKey(ENDPOINT, "route_connection_info")
ENABLED = HandoffKey(ENDPOINT, "health_check_enabled")
CONFIG = HandoffKey(ENDPOINT, "health_check_config")
RATIO = HandoffKey(ENDPOINT, "traffic_ratio", SESSION)

UNHEARD_OF = Endpoint(endpoint_id=ENDPOINT)
ITEM = {
    "session_id": str(SESSION),
    "route_id": str(ROUTE),
    "kernel_host": "10.0.0.1",
    "kernel_port": 30000,
}
RECORD = RouteRecord(
    route_id=ROUTE,
    session_id=SESSION,
    app="vllm",
    kernel_host="10.0.0.1",
    kernel_port=30000,
    status="running",
)

OTHER_ITEM = ITEM | {"session_id": str(UUID(int=0xA2)), "route_id": str(UUID(int=0xB2))}
OTHER_RECORD = msgspec.structs.replace(RECORD, route_id=UUID(int=0xB2), session_id=UUID(int=0xA2))


def routes(endpoint: Endpoint, values: HandoffValues) -> tuple[RouteRecord, ...]:
    """Return the routes of a list of which nothing is refused."""
    read = route_list.routes(endpoint, values)
    assert [found for found in read.problems if found.kind != "key_missing"] == []
    return read.routes


def refused(values: HandoffValues, endpoint: Endpoint = UNHEARD_OF) -> list[str]:
    """Return why routes of the list are refused."""
    return [found.problem for found in route_list.routes(endpoint, values).problems]


def listed(*items: dict[str, Any]) -> dict[HandoffKey, bytes]:
    return {LIST: msgspec.json.encode({"vllm": items})}


@pytest.mark.parametrize("key", [LIST, ENABLED, CONFIG, RATIO], ids=str)
def test_a_key_reads_back_from_its_name(key: HandoffKey) -> None:
    assert HandoffKey.parse(str(key).encode()) == key


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"endpoint.x.route_connection_info",
        b"endpoint.%s.last_health_check" % str(ENDPOINT).encode(),
        b"endpoint.%s.traffic_ratio" % str(ENDPOINT).encode(),
        b"endpoint.%s.session.%s.health_check_config" % ((str(ENDPOINT).encode(),) * 2),
        b"endpoint.%s.route_connection_info\n" % str(ENDPOINT).encode(),
        b"session.\xff.last_access",
    ],
)
def test_another_key_is_none_of_the_handoff(key: bytes) -> None:
    assert HandoffKey.parse(key) is None


def test_a_listed_route_runs_with_a_weight_of_one() -> None:
    assert routes(UNHEARD_OF, listed(ITEM)) == (RECORD,)


def test_names_with_hyphens_are_read_as_well() -> None:
    hyphens = {name.replace("_", "-"): value for name, value in ITEM.items()}

    assert routes(UNHEARD_OF, listed(hyphens)) == (RECORD,)


def test_a_null_host_is_the_local_one() -> None:
    [record] = routes(UNHEARD_OF, listed(ITEM | {"kernel_host": None}))

    assert record.kernel_host == "localhost"


@pytest.mark.parametrize("apps", [b"{}", b'{"vllm":[]}'])
def test_a_list_of_no_routes_is_a_valid_list(apps: bytes) -> None:
    assert routes(UNHEARD_OF, {LIST: apps}) == ()


def test_only_the_first_app_counts() -> None:
    apps = {"vllm": [ITEM], "metrics": [ITEM | {"kernel_port": 30001}]}

    assert routes(UNHEARD_OF, {LIST: msgspec.json.encode(apps)}) == (RECORD,)


def test_labels_that_others_have_given_stay_as_recorded() -> None:
    known = msgspec.structs.replace(RECORD, labels={"zone": "a"})
    assert routes(recorded(known), listed(ITEM)) == (known,)


def test_a_weight_comes_from_its_key_then_from_what_is_recorded() -> None:
    known = msgspec.structs.replace(RECORD, traffic_ratio=0.25)
    route = present(unknown_route(ROUTE, EntryId(0, 0)), known, EntryId(1, 0))
    endpoint = Endpoint(endpoint_id=ENDPOINT, version=EntryId(1, 0), routes={ROUTE: route})

    [with_key] = routes(endpoint, listed(ITEM) | {RATIO: b"0.5"})
    [after_expiry] = routes(endpoint, listed(ITEM))

    assert (with_key.traffic_ratio, after_expiry.traffic_ratio) == (0.5, 0.25)


def recorded(*records: RouteRecord) -> Endpoint:
    """Return the endpoint as a list of these routes leaves it."""
    at = EntryId(1, 0)
    known = {
        record.route_id: present(unknown_route(record.route_id, EntryId(0, 0)), record, at)
        for record in records
    }
    return Endpoint(endpoint_id=ENDPOINT, version=at, routes=known)


def test_an_expired_weight_is_told_and_the_recorded_one_stays() -> None:
    known = recorded(msgspec.structs.replace(RECORD, traffic_ratio=0.25))
    read = route_list.routes(known, listed(ITEM))

    assert [route.traffic_ratio for route in read.routes] == [0.25]
    [told] = read.problems
    assert told.kind == "key_missing"
    assert str(RATIO) in told.problem


@pytest.mark.parametrize("ratio", [b"", b"nan", b"inf", b"-0.1", b"2e6", b'"0.5"', b"null"])
def test_a_broken_weight_refuses_its_route_and_names_its_key(ratio: bytes) -> None:
    values = listed(ITEM, OTHER_ITEM) | {RATIO: ratio}

    assert route_list.routes(UNHEARD_OF, values).routes == (OTHER_RECORD,)
    [problem] = refused(values)
    assert str(RATIO) in problem


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"kernel_port": 0}, r"vllm\[1\]: kernel_port: 0 is not allowed"),
        ({"kernel_port": None}, r"vllm\[1\]: kernel_port: None is not allowed"),
        ({"kernel_host": "a b"}, r"vllm\[1\]: kernel_host: 'a b' is not allowed"),
        ({"session_id": None}, r"vllm\[1\]: session_id: None"),
        ({"route_id": "r1"}, r"vllm\[1\]: route_id: 'r1'"),
        ({"protocol": "smtp"}, r"vllm\[1\]: protocol: 'smtp'"),
    ],
)
def test_a_broken_route_is_refused_alone_and_stays_as_recorded(
    broken: dict[str, Any], sentence: str
) -> None:
    values = listed(ITEM, OTHER_ITEM | broken)
    moved = msgspec.structs.replace(OTHER_RECORD, kernel_host="10.0.0.9", traffic_ratio=0.5)

    assert route_list.routes(UNHEARD_OF, values).routes == (RECORD,)
    assert route_list.routes(recorded(moved), values).routes == (RECORD, moved)
    [problem] = refused(values)
    assert re.search(rf"\.route_connection_info: {sentence}", problem)


def test_a_broken_route_that_names_nothing_keeps_every_route_that_is_not_listed() -> None:
    third = msgspec.structs.replace(RECORD, route_id=UUID(int=3), session_id=UUID(int=4))
    values = listed(ITEM, OTHER_ITEM | {"route_id": 7, "session_id": None})
    endpoint = recorded(OTHER_RECORD, third)

    found = route_list.routes(endpoint, values).routes
    assert {one.route_id: one for one in found} == {
        one.route_id: one for one in (RECORD, OTHER_RECORD, third)
    }


def test_a_missing_field_is_named() -> None:
    item = {name: value for name, value in ITEM.items() if name != "kernel_host"}

    [problem] = refused(listed(item, OTHER_ITEM))
    assert re.search(r"vllm\[0\]: .*`kernel_host`", problem)


def test_a_list_of_which_no_route_can_be_read_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(MalformedHandoffError, match=r"vllm\[0\]: kernel_port: 0"):
        routes(recorded(RECORD), listed(ITEM | {"kernel_port": 0}, OTHER_ITEM | {"route_id": 1}))


def test_an_item_that_is_no_route_is_refused_alone() -> None:
    apps = msgspec.json.encode({"vllm": [7, ITEM]})

    assert route_list.routes(UNHEARD_OF, {LIST: apps}).routes == (RECORD,)
    assert len(refused({LIST: apps})) == 1


@pytest.mark.parametrize(
    "value", [b"", b"[]", b"null", b"\xff", b'{"vllm":{}}', b'{"v":' * 100_000]
)
def test_a_list_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(MalformedHandoffError, match=r"\.route_connection_info: "):
        routes(UNHEARD_OF, {LIST: value})


def test_a_list_whose_key_is_gone_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(MalformedHandoffError, match="the key is not there, or has expired"):
        routes(UNHEARD_OF, {})


def test_a_health_check_is_read_with_null_for_the_defaults() -> None:
    config = b'{"interval":null,"path":"/ready","max-retries":3,"expected_status_code":204}'

    assert handoff.health_check(UNHEARD_OF, {ENABLED: b"true", CONFIG: config}) == HealthCheck(
        path="/ready", interval=10.0, max_retries=3, expected_status_code=204, initial_delay=None
    )


def test_the_grace_of_later_releases_is_kept() -> None:
    config = b'{"enable":true,"path":"/ready","initial_delay":1800.0}'
    read = handoff.health_check(UNHEARD_OF, {ENABLED: b"true", CONFIG: config})

    assert read == HealthCheck(path="/ready", initial_delay=1_800.0)


def test_a_configuration_left_behind_does_not_count() -> None:
    assert handoff.health_check(UNHEARD_OF, {ENABLED: b"false", CONFIG: b'{"path":"/"}'}) is None


def test_a_path_without_a_slash_gets_one_as_in_backend_ai() -> None:
    values = {ENABLED: b"true", CONFIG: b'{"path":"v1/models"}'}
    assert handoff.health_check(UNHEARD_OF, values) == HealthCheck(path="/v1/models")


def test_without_a_word_about_the_health_check_the_recorded_one_stays() -> None:
    endpoint = Endpoint(endpoint_id=ENDPOINT, health_check=HealthCheck(path="/health"))

    assert handoff.health_check(endpoint, {}) == HealthCheck(path="/health")


def test_what_a_handoff_has_no_field_for_stays_as_recorded() -> None:
    known = HealthCheck(path="/old", interval=3, headers={"x-tenant": "a"}, rise=2)
    values = {ENABLED: b"true", CONFIG: b'{"path":"/new"}'}
    read = handoff.health_check(Endpoint(endpoint_id=ENDPOINT, health_check=known), values)
    assert read == HealthCheck(path="/new", headers={"x-tenant": "a"}, rise=2)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({ENABLED: b"yes"}, r"health_check_enabled: b'yes' is neither true nor false"),
        ({ENABLED: b"true"}, r"health_check_config: the key is not there"),
        ({ENABLED: b"true", CONFIG: b"{"}, r"health_check_config: .*truncated"),
        ({ENABLED: b"true", CONFIG: b"{}"}, r"health_check_config: path: .*needs one, got none"),
        ({ENABLED: b"true", CONFIG: b'{"path":"a b"}'}, r"config: path: 'a b' is not allowed"),
        (
            {ENABLED: b"true", CONFIG: b'{"path":"/","interval":0}'},
            r"health_check_config: interval: 0 is not allowed",
        ),
    ],
)
def test_a_broken_health_check_is_refused_by_key_and_field(
    values: dict[HandoffKey, bytes], sentence: str
) -> None:
    with pytest.raises(MalformedHandoffError, match=sentence):
        handoff.health_check(UNHEARD_OF, values)


@pytest.mark.parametrize("config", [{}, {CONFIG: b"{"}, {CONFIG: b'{"path":"a b"}'}])
def test_a_broken_health_check_leaves_the_recorded_one_and_the_routes_are_read(
    config: dict[HandoffKey, bytes],
) -> None:
    endpoint = Endpoint(endpoint_id=ENDPOINT, health_check=HealthCheck(path="/health"))
    values = listed(ITEM) | {ENABLED: b"true"} | config
    read = handoff.read(endpoint, values)

    assert read.health_check == HealthCheck(path="/health")
    assert read.routes == (RECORD,)
    assert [found.kind for found in read.problems] == [
        "health_check_refused" if config else "key_missing"
    ]
    with pytest.raises(MalformedHandoffError):
        handoff.read(UNHEARD_OF, values)
