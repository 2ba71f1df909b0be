"""The watch over the proxy's servers finds what it is for."""

from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tests.soak.proxy_watch import ProxyWatch, Servers, servers_in, servers_wanted
from tests.soak.table_watch import Histories
from tests.support.histories import E, created, destroyed, history, listed, record, started

HERE = frozenset({"http://10.9.9.9:30001"})
MOVED = frozenset({"http://10.9.9.9:30002"})
EVENTS = (
    created(),
    listed(record(kernel_host="10.9.9.9", kernel_port=30_001)),
    started(kernel_host="10.9.9.9", kernel_port=30_002),
)
LOG = {E: history(*EVENTS)}
ENDED_LOG = {E: history(*EVENTS, destroyed())}


async def judged(*shown: Servers, log: Histories = LOG) -> list[str]:
    async with aiohttp.ClientSession() as session:
        watch = ProxyWatch(session, "http://127.0.0.1:9")
        for servers in shown:
            watch.note(servers)
        return watch.judge([log])


async def test_a_proxy_that_goes_on_with_its_history_is_right() -> None:
    assert await judged({}, {E: HERE}, {E: HERE | MOVED}, {E: frozenset()}, {E: MOVED}) == []


async def test_an_endpoint_that_was_destroyed_may_go() -> None:
    other = UUID(int=7)
    shown: tuple[Servers, ...] = ({E: HERE, other: frozenset()}, {other: frozenset()})
    assert await judged(*shown, log={**ENDED_LOG, other: history(created())}) == []
    assert any("never destroyed" in one for one in await judged(*shown))


@pytest.mark.parametrize(
    ("shown", "complaint"),
    [
        (({E: HERE}, {}), "the proxy was emptied"),
        (({E: frozenset({"http://10.1.1.1:1"})},), "which its history never had"),
    ],
    ids=["nothing", "another address"],
)
async def test_what_it_must_not_have_is_found(shown: tuple[Servers, ...], complaint: str) -> None:
    assert any(complaint in one for one in await judged(*shown))


def test_services_are_read_as_the_api_lists_them() -> None:
    services: list[dict[str, Any]] = [
        {"name": f"endpoint-{E}@http", "loadBalancer": {"servers": [{"url": "http://a:1"}]}},
        {"name": f"endpoint-{UUID(int=3)}@http", "loadBalancer": {}},
        {"name": "api@internal"},
    ]
    assert servers_in(services) == {E: frozenset({"http://a:1"}), UUID(int=3): frozenset()}


def test_only_routes_that_get_traffic_are_wanted() -> None:
    route = {
        "kernel_host": "a",
        "kernel_port": 1,
        "status": "running",
        "health": "unhealthy",
        "traffic_ratio": 1.0,
    }
    routes = [
        route,
        {**route, "kernel_port": 2, "status": "failed"},
        {**route, "kernel_host": None},
    ]
    document = {"routes": routes, "health_check": None}
    gone = {"routes": [], "health_check": None, "destroyed_at": [1, 1]}
    assert servers_wanted({E: document, UUID(int=3): gone}) == {E: frozenset({"http://a:1"})}
    assert servers_wanted({E: {**document, "health_check": {}}}) == {E: frozenset()}
