"""Reports of failed requests bring probes forward, and decide nothing by themselves."""

from collections.abc import AsyncIterator
from uuid import UUID

import anyio
import pytest
from msgspec.structs import replace

from consumers.processes.embedded import EmbeddedServer
from events import EventLog, open_log
from producers.checker.health_checker import HealthChecker
from producers.checker.passive_reports import PassiveReports
from producers.checker.probe import open_session
from producers.endpoints.endpoint_service import EndpointService
from projections import RouteTableReader, open_reader
from projections.health_state.probe_times import member_of
from projections.route_table.health_age import RouteKey
from projections.route_table.route_table import ROUTE_TABLE
from tests.producers.support.checker_ports import (
    CHECK,
    ENDPOINT_ID,
    LOOPBACK,
    QUICK,
    Bench,
    ModelServer,
    Owner,
    route_at,
)
from tests.support.histories import ROUTES, E, created, record
from tests.support.log_lines import captured_lines
from tests.support.projectors import member
from tests.support.running_consumer import consuming, until_settled
from tests.support.waiting import wait_until

SELDOM = replace(CHECK, interval=3_600.0)
BROUGHT_FORWARD = replace(QUICK, reported_gap_s=0.02)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_session(LOOPBACK) as session:
        made = Bench(session)
        yield made
        await made.aclose()


async def serving(bench: Bench) -> tuple[ModelServer, RouteKey]:
    """Return a replica that is watched and healthy, and its route."""
    server = await bench.server()
    route = route_at(server)
    bench.table.put(route, check=SELDOM)
    return server, (ENDPOINT_ID, route.route_id)


async def test_a_reported_route_is_probed_at_once_and_recorded_after_its_thresholds(
    bench: Bench,
) -> None:
    server, key = await serving(bench)
    async with bench.checker(BROUGHT_FORWARD) as checker:
        await bench.records.kept_count.until(1)
        server.status = 500
        for asked in (2, 3):
            checker.bring_forward(key)
            await server.asked.until(asked)
        assert bench.records.statuses == ["healthy"]
        checker.bring_forward(key)
        await bench.records.kept_count.until(2)
    assert bench.records.statuses == ["healthy", "unhealthy"]
    assert bench.records.reasons[1] == ("HTTP 500, expected 200", 3)


async def test_a_proxy_that_lies_brings_about_few_probes_and_no_change(bench: Bench) -> None:
    server, key = await serving(bench)
    async with bench.checker(replace(QUICK, reported_gap_s=0.25)) as checker:
        await bench.records.kept_count.until(1)
        began = anyio.current_time()
        while server.asked.value < 4:
            checker.bring_forward(key)
            await anyio.sleep(0.001)
        assert anyio.current_time() - began > 0.45
    assert bench.records.statuses == ["healthy"]


async def test_a_report_of_a_route_that_is_not_watched_is_passed_over(bench: Bench) -> None:
    server, (endpoint_id, _) = await serving(bench)
    async with bench.checker(BROUGHT_FORWARD) as checker:
        await server.asked.until(1)
        checker.bring_forward((endpoint_id, UUID(int=404)))
        await anyio.wait_all_tasks_blocked()
    assert server.asked.value == 1


async def failed(log: EventLog, *members: str) -> None:
    fields = [word for member in members for word in (member, "1")]
    await log.server.client.call("XADD", log.keys.failed_requests(0), "*", *fields)


async def test_reported_routes_are_heard_and_what_is_no_route_is_passed_over(
    log: EventLog,
) -> None:
    heard: list[RouteKey] = []
    first, second = (UUID(int=1), UUID(int=2)), (UUID(int=1), UUID(int=3))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(PassiveReports(log, heard.append).run)
        await failed(log, "no-route", "x:y", member_of(first))
        await wait_until(lambda: heard == [first], "the first report is heard")
        await failed(log, member_of(second), member_of(first), member_of(second))
        await wait_until(lambda: len(heard) == 3, "the second report is heard")
        tasks.cancel_scope.cancel()
    assert heard == [first, second, first]


async def test_reports_are_heard_again_once_redis_is_back(own_server: EmbeddedServer) -> None:
    heard: list[RouteKey] = []
    route = (UUID(int=1), UUID(int=2))
    async with open_log(own_server.url, namespace="away") as log:
        with captured_lines() as lines:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(PassiveReports(log, heard.append).run)
                own_server.kill()
                await wait_until(
                    lambda: "passive_reports_not_read" in [line["event"] for line in lines],
                    "the failure is told",
                )
                own_server.start()
                await failed(log, member_of(route))
                await wait_until(lambda: heard == [route], "the report is heard")
                tasks.cancel_scope.cancel()
    assert [line["event"] for line in lines].count("passive_reports_not_read") == 1


async def until_health(reader: RouteTableReader, health: str) -> None:
    def is_so() -> bool:
        endpoint = reader.endpoint(E)
        return endpoint is not None and endpoint.routes[ROUTES[0]].health == health

    await wait_until(is_so, f"the route is {health}")


async def test_a_failure_that_a_proxy_sees_is_recorded_by_the_checker(
    log: EventLog, bench: Bench
) -> None:
    server = await bench.server()
    service = EndpointService(log)
    await service.create(created(health_check=replace(SELDOM, max_retries=2)))
    replica = record(0, status="running", kernel_host="127.0.0.1", kernel_port=server.port)
    await service.set_route_list(E, [replica])
    async with consuming(member(log, ROUTE_TABLE)):
        await until_settled(log, ROUTE_TABLE.read_model)
        async with open_reader(log) as reader, anyio.create_task_group() as tasks:
            checker = HealthChecker(reader, service, Owner(), bench.session, BROUGHT_FORWARD)
            tasks.start_soon(checker.run)
            tasks.start_soon(PassiveReports(log, checker.bring_forward).run)
            await until_health(reader, "healthy")
            server.status = 503

            async with open_reader(log) as proxy:

                async def is_out() -> bool:
                    route = proxy.choose(E)
                    if route is not None:
                        proxy.report(route, ok=False)
                    return route is None

                await wait_until(is_out, "no request goes to the route any more")
            await until_health(reader, "unhealthy")
            assert server.asked.value >= 3
            tasks.cancel_scope.cancel()
