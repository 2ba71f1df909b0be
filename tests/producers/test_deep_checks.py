"""A model server that answers cheap probes and hangs: deep checks tell, and say why."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from events import EventLog
from events.catalogue.deep_check import DeepCheck
from events.catalogue.health_check import HealthCheck
from producers.checker.deep import deep_checks
from producers.checker.deep.deep_probe import deep_probe
from producers.checker.deep.deep_state import DeepState, after_deep_check
from producers.checker.deep.real_traffic import RealTraffic
from producers.checker.health_checker import HealthChecker
from producers.checker.probe import open_session
from producers.checker.probe_result import ProbeResult
from producers.checker.probes.address import Address
from projections.health_state.probe_times import member_of
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import RouteKey
from projections.route_table.route import Health, Route
from tests.producers.support.checker_ports import (
    CHECK,
    ENDPOINT_ID,
    LOOPBACK,
    QUICK,
    Bench,
    route_on,
)
from tests.support.vllm_server import VllmServer
from tests.support.waiting import wait_until

DEEP = DeepCheck(interval=0.02, max_wait_time=0.3, max_retries=2, traffic_window=0)
BOTH = replace(CHECK, interval=0.02, deep=DEEP)
FORWARD = replace(QUICK, reported_gap_s=0.01, warm_up_interval_s=0.01)
COMPLETIONS = "/v1/completions"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_session(LOOPBACK) as session:
        made = Bench(session)
        yield made
        await made.aclose()


@pytest.fixture
async def engine() -> AsyncIterator[VllmServer]:
    server = VllmServer()
    await server.listen()
    server.engine = "ready"
    yield server
    await server.stop()


def put(
    bench: Bench, engine: VllmServer, check: HealthCheck = BOTH, health: Health = "not_checked"
) -> Route:
    route = route_on(engine.port, health=health)
    bench.table.put(route, check=check)
    held = bench.table.held[ENDPOINT_ID]
    bench.table.held[ENDPOINT_ID] = replace(held, model=engine.model)
    return route


async def test_a_success_of_both_checks_makes_a_route_healthy(
    bench: Bench, engine: VllmServer
) -> None:
    put(bench, engine)
    async with bench.checker(FORWARD):
        await bench.records.kept_count.until(1)
        await wait_until(lambda: engine.asked[COMPLETIONS] > 2, "it is asked again and again")
    assert bench.records.statuses == ["healthy"]
    assert bench.records.reasons == [("first success", 0)]
    assert engine.bodies[0] == {
        "model": "llama",
        "prompt": "1",
        "max_tokens": 1,
        "temperature": 0,
        "stream": False,
    }


async def test_a_route_that_answers_cheap_probes_alone_never_becomes_healthy(
    bench: Bench, engine: VllmServer
) -> None:
    engine.hang()
    put(bench, engine)
    async with bench.checker(FORWARD):
        await bench.records.kept_count.until(1)
        asked = engine.asked["/health"]
        await wait_until(lambda: engine.asked["/health"] > asked + 5, "cheap probes go on")
    assert bench.records.statuses == ["unhealthy"]
    assert bench.records.reasons == [("deep check: no token within 0.3 s", 2)]


async def test_an_engine_that_hangs_is_found_and_taken_back_once_it_is_well(
    bench: Bench, engine: VllmServer
) -> None:
    put(bench, engine, health="healthy")
    async with bench.checker(FORWARD):
        await wait_until(lambda: engine.asked[COMPLETIONS] > 1, "it is asked")
        assert bench.records.statuses == []
        engine.hang()
        await bench.records.kept_count.until(1)
        assert bench.records.reasons == [("deep check: no token within 0.3 s", 2)]
        assert engine.given_up >= 1
        engine.revive()
        await bench.records.kept_count.until(2)
    assert bench.records.statuses == ["unhealthy", "healthy"]


async def test_what_a_deep_check_finds_waits_for_no_cheap_interval(
    bench: Bench, engine: VllmServer
) -> None:
    put(bench, engine, replace(BOTH, interval=3_600.0))
    async with bench.checker(FORWARD):
        await bench.records.kept_count.until(1)
    assert bench.records.statuses == ["healthy"]


async def test_cheap_probes_keep_their_pace_while_a_deep_check_waits(
    bench: Bench, engine: VllmServer
) -> None:
    put(bench, engine, replace(BOTH, deep=replace(DEEP, max_wait_time=60.0)), health="healthy")
    engine.hang()
    async with bench.checker(FORWARD):
        await wait_until(lambda: engine.asked[COMPLETIONS] == 1, "it is asked")
        asked = engine.asked["/health"]
        await wait_until(lambda: engine.asked["/health"] > asked + 10, "cheap probes go on")
        assert engine.asked[COMPLETIONS] == 1


async def test_a_deep_check_ends_with_the_route(bench: Bench, engine: VllmServer) -> None:
    put(bench, engine, replace(BOTH, deep=replace(DEEP, max_wait_time=3_600.0)), health="healthy")
    engine.hang()
    async with bench.checker(FORWARD):
        await wait_until(lambda: len(engine.bodies) == 1, "it is asked")
        bench.table.put()
        await wait_until(lambda: engine.given_up == 1, "the request is given up")


async def test_a_model_that_loads_is_not_asked_for_a_token(
    bench: Bench, engine: VllmServer
) -> None:
    engine.engine = "loading"
    put(bench, engine, replace(BOTH, initial_delay=3_600.0))
    async with bench.checker(FORWARD):
        await wait_until(lambda: engine.asked["/health"] > 10, "it is probed")
        assert engine.asked[COMPLETIONS] == 0
        engine.engine = "ready"
        await bench.records.kept_count.until(1)
    assert bench.records.statuses == ["healthy"]


async def test_deep_failures_within_the_grace_do_not_count(
    bench: Bench, engine: VllmServer
) -> None:
    engine.engine = "dead"
    route = put(bench, engine, replace(BOTH, path="/version", initial_delay=60.0))
    bench.clock.now_s += 59
    async with bench.checker(FORWARD):
        await wait_until(lambda: engine.asked[COMPLETIONS] > 5, "it is asked")
        assert bench.records.statuses == []
        bench.clock.now_s += 1
        await bench.records.kept_count.until(1)
    assert bench.records.kept == [(route.route_id, "unhealthy")]
    assert bench.records.reasons == [("deep check: HTTP 500, expected 200", 2)]


async def test_a_healthy_route_whose_checker_restarts_is_asked_later_not_at_once(
    bench: Bench, engine: VllmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)
    put(bench, engine, replace(BOTH, deep=replace(DEEP, interval=3_600.0)), health="healthy")
    async with bench.checker(FORWARD):
        await wait_until(lambda: engine.asked["/health"] > 5, "it is probed")
    assert engine.asked[COMPLETIONS] == 0
    assert bench.records.statuses == []


async def test_reported_failures_bring_a_deep_check_forward(
    bench: Bench, engine: VllmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    seldom = replace(BOTH, interval=3_600.0, deep=replace(DEEP, interval=10.0))
    route = put(bench, engine, seldom, health="healthy")
    async with bench.checker(FORWARD) as checker:
        with anyio.fail_after(8):  # the deep check is due after 10 s, reported after 1 s
            while engine.asked[COMPLETIONS] == 0:
                checker.bring_forward((ENDPOINT_ID, route.route_id))
                await anyio.sleep(0.01)


async def test_deep_checks_of_one_endpoint_leave_room_for_others(
    bench: Bench, engine: VllmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deep_checks, "OF_ENDPOINT_MAX", 2)
    engine.hang()
    waiting = replace(BOTH, deep=replace(DEEP, max_wait_time=60.0))
    routes = [route_on(engine.port) for _ in range(5)]
    bench.table.put(*routes, check=waiting)
    async with bench.checker(FORWARD):
        await wait_until(lambda: engine.asked["/health"] > 30, "all are probed")
        assert engine.asked[COMPLETIONS] == 2
        another = Endpoint(
            endpoint_id=ENDPOINT_ID.__class__(int=9),
            health_check=waiting,
            routes={routes[0].route_id: routes[0]},
        )
        bench.table.held[another.endpoint_id] = another
        bench.table.say()
        await wait_until(lambda: engine.asked[COMPLETIONS] == 3, "another endpoint's is asked")


class Traffic:
    """What users' requests tell, as the test says."""

    def __init__(self, *, succeeds: bool) -> None:
        self.succeeds = succeeds
        self.asked_for: list[tuple[RouteKey, float]] = []

    async def __call__(self, route: RouteKey, within_s: float) -> bool:
        self.asked_for.append((route, within_s))
        return self.succeeds


async def test_while_real_traffic_succeeds_no_model_is_asked(
    bench: Bench, engine: VllmServer
) -> None:
    traffic = Traffic(succeeds=True)
    route = put(bench, engine, replace(BOTH, deep=replace(DEEP, traffic_window=7.0)), "healthy")
    checker = HealthChecker(
        *(bench.table, bench.records, bench.owner, bench.session, FORWARD),
        clock=bench.clock,
        has_traffic=traffic,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(checker.run)
        await wait_until(lambda: len(traffic.asked_for) > 3, "traffic is looked at")
        assert engine.asked[COMPLETIONS] == 0
        traffic.succeeds = False
        await wait_until(lambda: engine.asked[COMPLETIONS] > 0, "the model is asked")
        tasks.cancel_scope.cancel()
    assert traffic.asked_for[0] == ((ENDPOINT_ID, route.route_id), 7.0)
    assert bench.records.statuses == []


@pytest.mark.parametrize(
    ("reports", "succeeded"),
    [([], False), ([(1, 0)], True), ([(1, 1)], False), ([(1, 0), (0, 1)], False)],
)
async def test_traffic_has_succeeded_lately_if_nothing_failed_since(
    log: EventLog, reports: list[tuple[int, int]], *, succeeded: bool
) -> None:
    route = (ENDPOINT_ID, ENDPOINT_ID)
    script = log.server.client.script("projections.requests", "report_requests")
    keys = [log.keys.requests(0), log.keys.failed_requests(0)]
    for successes, failures in reports:
        await script(keys, [10_000, 30, 100, 10, member_of(route), successes, failures])
        await anyio.sleep(0.002)  # reports are told apart by the server's milliseconds
    assert await RealTraffic(log).succeeded(route, 60.0) is succeeded


async def test_while_counts_cannot_be_read_nothing_is_left_out(log: EventLog) -> None:
    await log.server.client.call("SET", log.keys.requests(0), "a stray value")
    assert not await RealTraffic(log).succeeded((ENDPOINT_ID, ENDPOINT_ID), 60.0)


async def asked_once(
    bench: Bench,
    engine: VllmServer,
    deep: DeepCheck = DEEP,
    **fields: Any,  # noqa: ANN401 - the check's fields
) -> ProbeResult:
    address = Address("127.0.0.1", engine.port)
    return await deep_probe(bench.session, address, replace(BOTH, **fields), deep, engine.model)


async def test_the_chat_preset_asks_for_one_token_of_a_chat(
    bench: Bench, engine: VllmServer
) -> None:
    check = replace(DEEP, preset="openai_chat", model="another")
    assert (await asked_once(bench, engine, check)).reason == "HTTP 404, expected 200"
    engine.model = "another"
    assert (await asked_once(bench, engine, check)).success
    assert engine.bodies[-1]["messages"] == [{"role": "user", "content": "1"}]
    assert engine.asked["/v1/chat/completions"] == 2


async def test_a_servers_key_is_passed_on(bench: Bench, engine: VllmServer) -> None:
    engine.api_key = "secret"
    assert (await asked_once(bench, engine)).reason == "HTTP 401, expected 200"
    headers = {"Authorization": "Bearer secret"}
    assert (await asked_once(bench, engine, headers=headers)).success


@pytest.mark.parametrize(
    ("path", "reason", "cause"),
    [
        ("/health", "HTTP 405, expected 200", "status"),
        ("/empty", "its answer has no token", "body"),
        ("/text", "its answer is no completion", "body"),
        ("/long", "its answer is no completion", "body"),
        ("/broken", "connection closed without an answer", "reset"),
    ],
)
async def test_an_answer_without_a_token_is_a_failure_that_says_so(
    bench: Bench, engine: VllmServer, path: str, reason: str, cause: str
) -> None:
    result = await asked_once(bench, engine, replace(DEEP, path=path))
    assert (result.success, result.reason, result.cause) == (False, reason, cause)


async def test_deep_checks_are_counted_beside_the_probes(bench: Bench, engine: VllmServer) -> None:
    assert (await asked_once(bench, engine)).duration_s > 0
    engine.engine = "dead"
    await asked_once(bench, engine)
    await asked_once(bench, engine)
    assert bench.session.tally.ended == {("deep", None): 1, ("deep", "status"): 2}


async def test_a_server_that_is_gone_is_a_failure_that_says_so(
    bench: Bench, engine: VllmServer
) -> None:
    await engine.stop()
    result = await asked_once(bench, engine)
    assert (result.success, result.reason, result.cause) == (False, "connection refused", "refused")


def test_one_success_is_enough_and_failures_in_a_row_are_counted() -> None:
    failed = ProbeResult(success=False, reason="HTTP 500")
    state = DeepState(passed=True)
    seen = []
    for result in (failed, failed, ProbeResult(success=True), failed, failed, failed):
        state = after_deep_check(state, result, 2, in_grace=False)
        seen.append((state.passed, state.failures))
    assert seen == [(True, 1), (False, 2), (True, 0), (True, 1), (False, 2), (False, 3)]
    assert state.reason == "deep check: HTTP 500"
    assert after_deep_check(DeepState(passed=True, failures=1), failed, 2, in_grace=True).passed
