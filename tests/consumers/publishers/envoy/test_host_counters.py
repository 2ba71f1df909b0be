"""Envoy counts how requests to each of its hosts end: that brings probes forward."""

import json
from collections import Counter
from uuid import uuid4

import anyio
import pytest
from aiohttp import ClientSession

from consumers.errors import UnreachableProxyError
from consumers.processes.embedded import free_port
from consumers.publishers import proxy_counters
from consumers.publishers.envoy import host_counters
from consumers.publishers.envoy.envoy_settings import EnvoySettings
from consumers.publishers.envoy.host_counters import (
    EnvoyHost,
    HostCounters,
    HostCounts,
    grown,
    host_counts_of,
    read_host_counts,
    routes_by_host,
)
from projections.route_table.health_age import RouteKey
from tests.consumers.publishers.support.envoy_setup import Setup
from tests.consumers.publishers.support.put_feed import PutFeed, endpoint_of, route_of, snapshot_at
from tests.consumers.publishers.support.running_envoy import with_envoy
from tests.support.log_lines import captured_lines
from tests.support.waiting import wait_until

HOST = EnvoyHost("chat", "10.0.0.1", 80)
OTHER = EnvoyHost("chat", "10.0.0.2", 80)


@pytest.fixture
def reported(served: Setup, monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, bool]]:
    """How often a success or a failure of which server was reported."""
    monkeypatch.setattr(proxy_counters, "READ_EVERY_S", 0.02)
    found: Counter[tuple[int, bool]] = Counter()
    numbers = {route_of(number).route_id: number for number in (0, 1)}

    def report(route: RouteKey, successes: int, failures: int) -> None:
        assert route[0] == endpoint_of("chat").endpoint_id
        found[numbers[route[1]], True] += successes
        found[numbers[route[1]], False] += failures

    served.feed.report = report  # type: ignore[method-assign]
    return found


@with_envoy
async def test_what_a_real_envoy_counts_is_reported_route_by_route(
    served: Setup, reported: Counter[tuple[int, bool]]
) -> None:
    admin = f"http://127.0.0.1:{served.envoy.admin_port}"
    async with ClientSession() as session, anyio.create_task_group() as tasks:
        before = await read_host_counts(session, admin)
        counters = HostCounters(admin, served.feed)
        tasks.start_soon(counters.run, session)
        await wait_until(lambda: counters._known is not None, "the counters were read once")
        answers = await served.client.count("chat", 40)
        await wait_until(lambda: reported.total() >= 40, "40 successes are reported")
        assert (reported[0, True], reported[1, True]) == (answers["first"], answers["second"])
        assert reported[0, False] == reported[1, False] == 0
        await served.second.stop()
        async with served.load():
            await wait_until(lambda: reported[1, False] > 0, "failures are reported")
        assert reported[0, False] == 0
        tasks.cancel_scope.cancel()
    assert sum(counts.successes for counts in before.values()) > 0  # what was before is not told


def answer(**counters: str) -> bytes:
    stats = [{"name": name, "value": value} for name, value in counters.items()]
    place = {"address": HOST.address, "port_value": HOST.port}
    host = {"address": {"socket_address": place}, "stats": [{"name": "rq_success"}, *stats]}
    return json.dumps({"cluster_statuses": [{"name": "chat", "host_statuses": [host]}]}).encode()


def test_errors_and_failed_connections_are_failures() -> None:
    body = answer(rq_error="2", cx_connect_fail="3", rq_total="9", rq_timeout="1")
    assert host_counts_of(body) == {HOST: HostCounts(0, 5)}
    assert host_counts_of(answer(rq_success="7")) == {HOST: HostCounts(7, 0)}


@pytest.mark.parametrize(
    ("before", "now", "more"),
    [
        ({HOST: HostCounts(5, 1)}, {HOST: HostCounts(5, 1)}, {}),
        ({HOST: HostCounts(5, 1)}, {HOST: HostCounts(8, 3)}, {HOST: HostCounts(3, 2)}),
        ({HOST: HostCounts(5, 1)}, {HOST: HostCounts(2, 1)}, {HOST: HostCounts(2, 1)}),  # restarted
        ({HOST: HostCounts(5, 1)}, {}, {}),
        ({}, {OTHER: HostCounts(0, 1)}, {OTHER: HostCounts(0, 1)}),
    ],
)
def test_only_what_is_new_in_the_counters_is_told(
    before: dict[EnvoyHost, HostCounts],
    now: dict[EnvoyHost, HostCounts],
    more: dict[EnvoyHost, HostCounts],
) -> None:
    assert dict(grown(before, now)) == more


def test_a_host_is_a_route_by_its_address() -> None:
    routes = [
        route_of(0, 80, kernel_host="10.0.0.1"),
        route_of(1, 80, kernel_host="10.0.0.1"),  # shares it
        route_of(2, 80, kernel_host="FD00::0001"),
        route_of(3, 80, kernel_host="a-name"),
        route_of(4, None),
    ]
    chat = endpoint_of("chat", *routes)
    found = routes_by_host(snapshot_at(chat))
    cluster = str(chat.endpoint_id)
    assert found == {
        EnvoyHost(cluster, "10.0.0.1", 80): (chat.endpoint_id, routes[0].route_id),
        EnvoyHost(cluster, "fd00::1", 80): (chat.endpoint_id, routes[2].route_id),
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"cluster_statuses": 1}', answer(rq_error="many"), b"[" * 100_000],
)
def test_what_is_no_answer_of_envoys_is_refused(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        host_counts_of(body)


async def test_an_envoy_that_does_not_answer_is_told_once_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy_counters, "READ_EVERY_S", 0.01)
    reads = 0
    read = host_counters.read_host_counts

    async def counted(session: ClientSession, admin: str) -> dict[EnvoyHost, HostCounts]:
        nonlocal reads
        reads += 1
        return await read(session, admin)

    monkeypatch.setattr(host_counters, "read_host_counts", counted)
    admin = f"http://me:secret@127.0.0.1:{free_port()}"
    with captured_lines() as lines:
        async with ClientSession() as session, anyio.create_task_group() as tasks:
            tasks.start_soon(HostCounters(admin, PutFeed()).run, session)
            await wait_until(lambda: reads > 3, "it is asked again and again")
            tasks.cancel_scope.cancel()
        with pytest.raises(UnreachableProxyError, match="cannot be reached"):
            async with ClientSession() as session:
                await read_host_counts(session, admin)
    told = [line["why"] for line in lines if line["event"] == "counters_not_read"]
    assert len(told) == 1
    assert "secret" not in told[0]


def test_an_admin_that_is_no_url_is_refused_by_name() -> None:
    assert EnvoySettings(admins=("http://10.0.0.7:9901/",)).admin_urls == ("http://10.0.0.7:9901",)
    with pytest.raises(ValueError, match="admins has an entry that is not http"):
        EnvoySettings(admins=(f"{uuid4()}:9901",))
