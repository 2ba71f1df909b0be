from typing import Any
from uuid import UUID

import msgspec
import pytest

from events.catalogue.health_check import HealthCheck
from events.catalogue.route import RouteRecord
from events.entry.entry_id import EntryId
from producers.backend_ai import handoff
from producers.backend_ai.handoff import HandoffKey, MalformedHandoffError
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
    assert handoff.routes(UNHEARD_OF, listed(ITEM)) == (RECORD,)


def test_names_with_hyphens_are_read_as_well() -> None:
    hyphens = {name.replace("_", "-"): value for name, value in ITEM.items()}

    assert handoff.routes(UNHEARD_OF, listed(hyphens)) == (RECORD,)


def test_a_null_host_is_the_local_one() -> None:
    [record] = handoff.routes(UNHEARD_OF, listed(ITEM | {"kernel_host": None}))

    assert record.kernel_host == "localhost"


@pytest.mark.parametrize("apps", [b"{}", b'{"vllm":[]}'])
def test_a_list_of_no_routes_is_a_valid_list(apps: bytes) -> None:
    assert handoff.routes(UNHEARD_OF, {LIST: apps}) == ()


def test_only_the_first_app_counts() -> None:
    apps = {"vllm": [ITEM], "metrics": [ITEM | {"kernel_port": 30001}]}

    assert handoff.routes(UNHEARD_OF, {LIST: msgspec.json.encode(apps)}) == (RECORD,)


def test_a_weight_comes_from_its_key_then_from_what_is_recorded() -> None:
    known = msgspec.structs.replace(RECORD, traffic_ratio=0.25)
    route = present(unknown_route(ROUTE, EntryId(0, 0)), known, EntryId(1, 0))
    endpoint = Endpoint(endpoint_id=ENDPOINT, version=EntryId(1, 0), routes={ROUTE: route})

    [with_key] = handoff.routes(endpoint, listed(ITEM) | {RATIO: b"0.5"})
    [after_expiry] = handoff.routes(endpoint, listed(ITEM))

    assert (with_key.traffic_ratio, after_expiry.traffic_ratio) == (0.5, 0.25)


@pytest.mark.parametrize("ratio", [b"", b"nan", b"inf", b"-0.1", b"2e6", b'"0.5"', b"null"])
def test_a_broken_weight_refuses_the_list_and_names_its_key(ratio: bytes) -> None:
    with pytest.raises(
        MalformedHandoffError, match=rf"endpoint.*session\.{SESSION}\.traffic_ratio"
    ):
        handoff.routes(UNHEARD_OF, listed(ITEM) | {RATIO: ratio})


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
def test_one_broken_route_refuses_the_whole_list(broken: dict[str, Any], sentence: str) -> None:
    with pytest.raises(MalformedHandoffError, match=rf"\.route_connection_info: {sentence}"):
        handoff.routes(UNHEARD_OF, listed(ITEM, ITEM | broken))


def test_a_missing_field_is_named() -> None:
    item = {name: value for name, value in ITEM.items() if name != "kernel_host"}

    with pytest.raises(MalformedHandoffError, match=r"vllm\[0\]: .*`kernel_host`"):
        handoff.routes(UNHEARD_OF, listed(item))


@pytest.mark.parametrize(
    "value", [b"", b"[]", b"null", b"\xff", b'{"vllm":{}}', b'{"vllm":[7]}', b'{"v":' * 100_000]
)
def test_a_list_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(MalformedHandoffError, match=r"\.route_connection_info: "):
        handoff.routes(UNHEARD_OF, {LIST: value})


def test_a_list_whose_key_is_gone_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(MalformedHandoffError, match="the key is not there, or has expired"):
        handoff.routes(UNHEARD_OF, {})


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


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({ENABLED: b"yes"}, r"health_check_enabled: b'yes' is neither true nor false"),
        ({ENABLED: b"true"}, r"health_check_config: the key is not there"),
        ({ENABLED: b"true", CONFIG: b"{"}, r"health_check_config: .*truncated"),
        ({ENABLED: b"true", CONFIG: b"{}"}, r"health_check_config: .*`path`"),
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
