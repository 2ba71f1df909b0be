"""The checker's process, a proxy's reports, and a model server whose engine hangs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from events import EventLog, HealthCheck
from events.catalogue.deep_check import DeepCheck
from producers import EndpointService
from projections import RouteTableReader, open_reader
from projections.requests import request_report
from projections.requests.request_counts import read_request_counts
from projections.route_table.route import Route
from tests.consumers.support.checker_process import checker_process
from tests.consumers.support.examination import projecting
from tests.support.histories import ROUTES, E, created, record
from tests.support.vllm_server import VllmServer
from tests.support.waiting import wait_until

COMPLETIONS = "/v1/completions"


@pytest.fixture
async def engine() -> AsyncIterator[VllmServer]:
    server = VllmServer()
    await server.listen()
    server.engine = "ready"
    yield server
    await server.stop()


async def serve(log: EventLog, engine: VllmServer, check: HealthCheck) -> None:
    """Record an endpoint with the one route of *engine*."""
    service = EndpointService(log)
    await service.create(created(health_check=check))
    replica = record(0, status="running", kernel_host="127.0.0.1", kernel_port=engine.port)
    await service.set_route_list(E, [replica])


def route_of(reader: RouteTableReader) -> Route:
    endpoint = reader.endpoint(E)
    assert endpoint is not None
    return endpoint.routes[ROUTES[0]]


async def test_what_a_proxy_reports_finds_a_hung_engine_long_before_it_is_due(
    log: EventLog, redis_url: str, engine: VllmServer
) -> None:
    deep = DeepCheck(interval=10.0, max_wait_time=0.5, max_retries=1, traffic_window=0)
    await serve(
        log, engine, HealthCheck(path="/health", interval=3_600.0, initial_delay=0, deep=deep)
    )
    async with projecting(log), open_reader(log) as proxy, AsyncExitStack() as stack:
        await checker_process(log, redis_url, stack)
        await wait_until(lambda: proxy.choose(E) is not None, "the route gets traffic", 60)
        engine.hang()

        def is_out() -> bool:
            route = proxy.choose(E)
            if route is not None:
                proxy.report(route, ok=False)
            return route is None

        await wait_until(is_out, "the route is out", 60)
        assert route_of(proxy).health_reason == "deep check: no token within 0.5 s"
        assert engine.asked["/health"] < 60


async def test_while_users_requests_succeed_the_model_is_not_asked(
    log: EventLog, redis_url: str, engine: VllmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_report, "SUCCESSES_EVERY_S", 0.1)
    deep = DeepCheck(interval=0.1, max_wait_time=5.0, traffic_window=60.0)
    await serve(log, engine, HealthCheck(path="/health", interval=0.1, deep=deep))
    key = (E, ROUTES[0])
    async with projecting(log), open_reader(log) as proxy, AsyncExitStack() as stack:
        await checker_process(log, redis_url, stack)
        await wait_until(lambda: engine.asked[COMPLETIONS] > 2, "the model is asked", 60)
        proxy.report(route_of(proxy), ok=True)

        async def is_counted() -> bool:
            return (await read_request_counts(log, [key], 60.0))[key].successes == 1

        await wait_until(is_counted, "the success is counted")
        await until_probed(engine, 3)  # what was under way has ended
        asked = engine.asked[COMPLETIONS]
        await until_probed(engine, 10)
        assert engine.asked[COMPLETIONS] == asked
        assert route_of(proxy).health == "healthy"


async def until_probed(engine: VllmServer, more: int) -> None:
    probed = engine.asked["/health"] + more
    await wait_until(lambda: engine.asked["/health"] >= probed, f"{more} more probes", 60)
