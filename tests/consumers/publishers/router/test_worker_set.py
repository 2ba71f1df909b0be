"""Which workers a router should have, and which routers there are."""

from typing import Any

import pytest
from msgspec.structs import replace

from consumers.publishers.router.router_settings import RouterSettings, ServedRouter
from consumers.publishers.router.worker_set import NotOneEndpointError, WorkerSet, worker_set
from projections.route_table.route import Route
from tests.consumers.publishers.support.put_feed import endpoint_of, route_of, snapshot_at


def workers_of(*routes: Route) -> WorkerSet:
    return worker_set(snapshot_at(endpoint_of("chat", *routes), endpoint_of("other")), "chat")


def test_each_route_with_traffic_is_a_worker() -> None:
    routes = [route_of(1, 8_001), route_of(2, 8_002), route_of(3, 8_003, traffic_ratio=0)]

    assert workers_of(*routes).urls == {"http://127.0.0.1:8001", "http://127.0.0.1:8002"}


def test_an_endpoint_is_found_by_its_id_and_by_its_name() -> None:
    chat = endpoint_of("chat", route_of(1))
    snapshot = snapshot_at(chat)

    assert worker_set(snapshot, str(chat.endpoint_id)) == worker_set(snapshot, "chat")


def test_an_endpoint_that_is_not_there_is_no_endpoint_without_routes() -> None:
    with pytest.raises(NotOneEndpointError, match="no endpoint stranger"):
        worker_set(snapshot_at(endpoint_of("chat")), "stranger")


def test_a_name_of_two_endpoints_is_refused() -> None:
    both = endpoint_of("chat"), replace(endpoint_of("other"), name="chat")

    with pytest.raises(NotOneEndpointError, match="2 endpoints have the name chat"):
        worker_set(snapshot_at(*both), "chat")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"protocol": "tcp"}, "protocol tcp"),
        ({"protocol": "grpc"}, "protocol grpc"),
        ({"kernel_host": "a b"}, "is no host name"),
        ({"kernel_host": "x@y"}, "is no host name"),
        ({"kernel_host": "x?y"}, "is no host name"),
    ],
)
def test_what_is_no_worker_is_refused_and_the_others_go_on(
    fields: dict[str, Any], why: str
) -> None:
    found = workers_of(route_of(1, **fields), route_of(2, 8_002))

    assert found.urls == {"http://127.0.0.1:8002"}
    assert why in found.refusals[0].why


def test_an_ipv6_address_has_brackets() -> None:
    assert workers_of(route_of(1, 80, kernel_host="::1")).urls == {"http://[::1]:80"}


def test_equal_weights_are_no_refusal() -> None:
    routes = [route_of(n, 8_000 + n, traffic_ratio=0.25) for n in range(3)]

    assert workers_of(*routes).refusals == ()


def test_routers_are_read() -> None:
    settings = RouterSettings(routers=("a=b=http://10.0.0.5:30000/",))

    assert settings.served == [ServedRouter("a=b", "http://10.0.0.5:30000")]


@pytest.mark.parametrize(
    "text",
    ["chat", "=http://a:1", "chat=ftp://a:1", "chat=http://u:p@a:1", "chat=http://a:1/x", "chat="],
)
def test_what_names_no_router_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not ENDPOINT=http://HOST:PORT") as raised:
        RouterSettings(routers=(text,))
    assert "u:p" not in str(raised.value)


def test_a_router_serves_one_endpoint() -> None:
    with pytest.raises(ValueError, match=r"routers has http://a:1 twice"):
        RouterSettings(routers=("chat=http://a:1", "other=http://a:1/"))


def test_a_revision_without_a_share_is_no_worker_and_a_share_that_cannot_be_said_is_told() -> None:
    routes = [route_of(n, 8_000 + n, labels={"revision": f"v{n}"}) for n in (1, 2)]
    chat = endpoint_of("chat", *routes)

    whole = worker_set(snapshot_at(replace(chat, split={"v2": 100.0})), "chat")
    assert whole.urls == {"http://127.0.0.1:8002"}
    assert whole.refusals == ()
    canary = worker_set(snapshot_at(replace(chat, split={"v1": 95.0, "v2": 5.0})), "chat")
    assert len(canary.urls) == 2
    [refusal] = canary.refusals
    assert "its traffic ratios from 5 to 95 cannot be expressed" in refusal.why
