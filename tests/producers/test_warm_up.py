"""A route that loads its model is probed at a pace of its own, and not called unhealthy."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from events.catalogue.deep_check import DeepCheck
from events.entry.entry_id import EntryId
from producers.checker.health_checker import HealthChecker
from producers.checker.probe import open_session
from producers.checker.verdict import CheckState, in_grace
from projections.route_table.route import Health
from tests.producers.support.checker_ports import CHECK, LOOPBACK, QUICK, Bench, route_on
from tests.support.vllm_server import VllmServer
from tests.support.waiting import wait_until

MINUTE_S = 60.0
LOADING = replace(CHECK, interval=3_600.0, initial_delay=0, warm_up_time=30 * MINUTE_S)
PACED = replace(QUICK, warm_up_interval_s=0.01)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_session(LOOPBACK) as session:
        made = Bench(session)
        yield made
        await made.aclose()


@pytest.fixture
async def engine() -> AsyncIterator[VllmServer]:
    server = VllmServer()
    yield server
    await server.stop()


async def test_a_route_that_loads_for_20_minutes_is_neither_killed_nor_given_traffic(
    bench: Bench, engine: VllmServer
) -> None:
    deep = DeepCheck(interval=0.02, max_wait_time=5.0, max_retries=1)
    bench.table.put(route_on(engine.port), check=replace(LOADING, deep=deep))
    async with bench.checker(PACED) as checker:
        await wait_until(lambda: _probes(checker) > 0, "its port is closed, which is noticed")
        bench.clock.now_s += 10 * MINUTE_S
        await engine.listen()
        await wait_until(lambda: engine.asked["/health"] > 10, "it answers 503")
        bench.clock.now_s += 10 * MINUTE_S
        asked = engine.asked["/health"]
        await wait_until(lambda: engine.asked["/health"] > asked + 10, "it answers 503 still")
        assert bench.records.statuses == []
        assert engine.asked["/v1/completions"] == 0
        engine.engine = "ready"
        await bench.records.kept_count.until(1)
    assert bench.records.statuses == ["healthy"]


def _probes(checker: HealthChecker) -> int:
    return sum(result.cause == "refused" for result in checker.last_results().values())


async def test_once_the_warm_up_time_is_over_failures_count(
    bench: Bench, engine: VllmServer
) -> None:
    await engine.listen()
    bench.table.put(route_on(engine.port), check=replace(LOADING, interval=0.01))
    async with bench.checker(PACED):
        await wait_until(lambda: engine.asked["/health"] > 5, "it answers 503")
        assert bench.records.statuses == []
        bench.clock.now_s += 30 * MINUTE_S
        await bench.records.kept_count.until(1)
    assert bench.records.statuses == ["unhealthy"]
    assert bench.records.reasons == [("HTTP 503, expected 200", 3)]


async def test_the_pace_of_the_warm_up_ends_with_it(bench: Bench, engine: VllmServer) -> None:
    await engine.listen()
    engine.engine = "ready"
    route = route_on(engine.port)
    bench.table.put(route, check=LOADING)
    async with bench.checker(PACED):
        await bench.records.kept_count.until(1)
        other = VllmServer()
        await other.listen()
        well = replace(route, health="healthy", health_at=EntryId(9, 0))
        bench.table.put(well, route_on(other.port), check=LOADING)
        await wait_until(lambda: other.asked["/health"] > 10, "the one that loads is probed")
        await other.stop()
    assert engine.asked["/health"] == 1


async def test_what_dies_within_its_grace_after_a_success_is_unhealthy(
    bench: Bench, engine: VllmServer
) -> None:
    await engine.listen()
    engine.engine = "ready"
    bench.table.put(route_on(engine.port), check=replace(CHECK, initial_delay=60 * MINUTE_S))
    async with bench.checker():
        await bench.records.kept_count.until(1)
        engine.engine = "dead"
        await bench.records.kept_count.until(2)
    assert bench.records.statuses == ["healthy", "unhealthy"]


@pytest.mark.parametrize(
    ("health", "age_s", "initial_delay", "warm_up_time", "forgiven"),
    [
        ("not_checked", 59.0, None, None, True),
        ("not_checked", 60.0, None, None, False),
        ("not_checked", 1_799.0, None, 1_800.0, True),
        ("not_checked", 1_800.0, None, 1_800.0, False),
        ("not_checked", 59.0, None, 10.0, True),  # the longer of the two
        ("healthy", 61.0, None, 1_800.0, False),  # it has warmed up
        ("unhealthy", 61.0, None, 1_800.0, False),
        ("healthy", 5.0, 10.0, None, False),
        ("unhealthy", 5.0, 10.0, None, False),
    ],
)
def test_what_is_forgiven_depends_on_the_warm_up(
    health: Health,
    age_s: float,
    initial_delay: float | None,
    warm_up_time: float | None,
    *,
    forgiven: bool,
) -> None:
    check = replace(CHECK, initial_delay=initial_delay, warm_up_time=warm_up_time)
    assert in_grace(CheckState(health=health), age_s, check) is forgiven
