import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from itertools import repeat
from math import inf
from uuid import UUID, uuid4

import anyio
import pytest
from msgspec.structs import replace

from events.entry.entry_id import EntryId
from events.errors import EventsError, ServerUnavailableError, UncertainAppendError
from producers.checker.probe import open_session
from producers.checker.settings import CheckerSettings
from producers.checker.verdict import VerdictSettings
from producers.errors import ContendedEndpointError, ProducersError
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Health
from tests.producers.support.checker_ports import (
    CHECK,
    ENDPOINT_ID,
    LOOPBACK,
    QUICK,
    STARTED_MS,
    Bench,
    route_at,
)
from tests.support.log_lines import captured_lines


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_session(LOOPBACK) as session:
        made = Bench(session)
        yield made
        await made.aclose()


async def test_a_route_that_answers_is_recorded_healthy_once(bench: Bench) -> None:
    server = await bench.server()
    route = route_at(server)
    bench.table.put(route)
    async with bench.checker():
        await server.asked.until(5)
    assert bench.records.kept == [(route.route_id, "healthy")]
    assert bench.records.reasons == [("first success", 0)]
    assert bench.records.observed == [datetime.fromtimestamp(STARTED_MS / 1_000, UTC)]


async def test_max_retries_failures_in_a_row_are_recorded_with_their_reason(bench: Bench) -> None:
    server = await bench.server()
    server.status = 500
    bench.table.put(route_at(server, health="healthy"))
    async with bench.checker():
        await bench.records.kept_count.until(1)
        await server.asked.more(3)
    assert bench.records.statuses == ["unhealthy"]
    assert bench.records.reasons == [("HTTP 500, expected 200", 3)]


@pytest.mark.parametrize(("health", "status"), [("healthy", 200), ("unhealthy", 500)])
async def test_restarting_a_checker_records_nothing(
    bench: Bench, health: Health, status: int
) -> None:
    server = await bench.server()
    server.status = status
    bench.table.put(route_at(server, health=health, health_ms=5))
    for _ in range(3):
        async with bench.checker():
            await server.asked.more(5)
    assert bench.records.tries.value == 0


async def test_failures_within_the_grace_do_not_count(bench: Bench) -> None:
    server = await bench.server()
    server.status = 503
    bench.table.put(route_at(server), check=replace(CHECK, initial_delay=60.0))
    bench.clock.now_s += 59
    async with bench.checker():
        await server.asked.until(8)
        assert bench.records.kept == []
        bench.clock.now_s += 1
        await bench.records.kept_count.until(1)
    assert bench.records.reasons == [("HTTP 503, expected 200", 3)]


async def test_without_a_start_the_grace_counts_from_the_first_sight(bench: Bench) -> None:
    server = await bench.server()
    server.status = 503
    route = route_at(server, started_ms=0)
    bench.table.put(route, check=replace(CHECK, initial_delay=60.0))
    async with bench.checker():
        await server.asked.until(5)
        assert bench.records.kept == []
        bench.clock.now_s += 60
        bench.table.put(route, check=replace(CHECK, initial_delay=60.0, max_retries=4))
        await bench.records.kept_count.until(1)
    assert bench.records.statuses == ["unhealthy"]


async def test_a_slow_replica_delays_no_other(bench: Bench) -> None:
    slow, quick = await bench.server(), await bench.server()
    slow.let_go = anyio.Event()
    bench.table.put(route_at(slow), route_at(quick))
    async with bench.checker():
        await slow.asked.until(1)
        await quick.asked.more(10)
        assert slow.asked.value == 1


async def test_no_more_probes_than_allowed_are_under_way_at_once(bench: Bench) -> None:
    server = await bench.server()
    server.let_go = anyio.Event()
    bench.table.put(*(route_at(server) for _ in range(8)))
    async with bench.checker(replace(QUICK, concurrency_max=4)):
        await server.asked.until(2)
        await anyio.wait_all_tasks_blocked()
        assert server.asked.value == 2
        server.let_go.set()
        await server.asked.until(40)
    assert server.at_once_most == 2


async def test_one_endpoint_that_hangs_delays_no_other(bench: Bench) -> None:
    slow, quick = await bench.server(), await bench.server()
    slow.let_go = anyio.Event()
    bench.table.put(*(route_at(slow) for _ in range(50)))
    other = UUID(int=2)
    route = route_at(quick, health="healthy")
    async with bench.checker(replace(QUICK, concurrency_max=8, host_concurrency_max=8)):
        await slow.asked.until(4)
        bench.table.held[other] = Endpoint(
            endpoint_id=other, health_check=CHECK, routes={route.route_id: route}
        )
        bench.table.say()
        with anyio.fail_after(4):  # shorter than the hanging probes take
            await quick.asked.until(20)
        assert slow.asked.value == 4


async def test_a_route_that_is_brought_forward_is_probed_at_once_but_not_more_often(
    bench: Bench,
) -> None:
    server = await bench.server()
    route = route_at(server)
    bench.table.put(route, check=replace(CHECK, interval=3_600.0))
    key = (ENDPOINT_ID, route.route_id)
    async with bench.checker(replace(QUICK, reported_gap_s=0.3)) as checker:
        await bench.records.kept_count.until(1)
        begun = anyio.current_time()
        for probes in (2, 3, 4):
            while server.asked.value < probes:
                checker.bring_forward(key)
                await anyio.sleep(0.01)
        assert 0.59 <= anyio.current_time() - begun < 60


async def test_a_large_table_that_always_changes_leaves_time_to_probe(bench: Bench) -> None:
    server = await bench.server()
    bench.table.put(route_at(server))
    held, reading_s = bench.table.endpoints(), 0.0

    def slow_endpoints() -> Iterable[Endpoint]:
        nonlocal reading_s
        begun = time.monotonic()
        time.sleep(0.02)
        bench.table.say()
        reading_s += time.monotonic() - begun
        return held

    bench.table.endpoints = slow_endpoints  # type: ignore[method-assign]
    begun = time.monotonic()
    async with bench.checker():
        await server.asked.until(50)
    assert reading_s < 0.3 * (time.monotonic() - begun)


async def test_a_route_that_appears_is_probed_and_one_that_goes_is_not(bench: Bench) -> None:
    first, second = await bench.server(), await bench.server()
    bench.table.put(route_at(first))
    async with bench.checker() as checker:
        await first.asked.until(2)
        bench.table.put(route_at(second))
        await second.asked.until(1)
        asked = first.asked.value
        await second.asked.more(5)
        assert (first.asked.value, checker.watched) == (asked, 1)


async def test_a_route_that_moves_is_probed_where_it_is_now(bench: Bench) -> None:
    before, after = await bench.server(), await bench.server()
    after.status = 500
    route = route_at(before)
    bench.table.put(route)
    async with bench.checker():
        await bench.records.kept_count.until(1)
        bench.table.put(replace(route, kernel_port=after.port, health="healthy"))
        await after.asked.until(1)
        asked = before.asked.value
        await bench.records.kept_count.until(2)
        assert before.asked.value == asked
    assert bench.records.statuses == ["healthy", "unhealthy"]
    assert bench.records.reasons[1][1] == 3


async def test_a_changed_health_check_holds_at_once(bench: Bench) -> None:
    server = await bench.server()
    route = route_at(server)
    bench.table.put(route, check=replace(CHECK, path="/old", interval=3_600.0))
    async with bench.checker():
        await server.asked.until(1)
        bench.table.put(route, check=replace(CHECK, path="/new"))
        await server.asked.until(4)
    assert server.paths == ["/old", "/new", "/new", "/new"]


async def test_what_needs_no_probe_gets_none(bench: Bench) -> None:
    server, other = await bench.server(), await bench.server()
    route = route_at(server)
    bench.table.put(
        *(replace(route_at(server), status=end) for end in ("terminating", "terminated", "failed")),
        replace(route, kernel_host=None),
        replace(route_at(server), listed_at=EntryId(0, 0)),
        route_at(other),
    )
    unchecked = route_at(server)
    bench.table.held[UUID(int=2)] = Endpoint(
        endpoint_id=UUID(int=2), routes={unchecked.route_id: unchecked}
    )
    async with bench.checker() as checker:
        await other.asked.until(5)
        assert checker.watched == 1
    assert server.asked.value == 0


async def test_a_checker_that_loses_an_endpoint_probes_it_no_more(bench: Bench) -> None:
    server = await bench.server()
    bench.table.put(route_at(server))
    with captured_lines() as logs:
        async with bench.checker() as checker:
            await server.asked.until(2)
            bench.owner.lose()
            await anyio.wait_all_tasks_blocked()
            assert checker.watched == 0
    assert [line["event"] for line in logs][-1] == "route_unwatched"


@pytest.mark.parametrize(
    "failure",
    [
        ServerUnavailableError("connection refused"),
        UncertainAppendError([uuid4()], 6, "no reply"),
        ContendedEndpointError("others were faster"),
    ],
)
async def test_a_transition_that_was_not_recorded_stays_due(
    bench: Bench, failure: EventsError | ProducersError
) -> None:
    server = await bench.server()
    bench.records.failures = [failure] * 3
    bench.table.put(route_at(server))
    with captured_lines() as logs:
        async with bench.checker():
            await bench.records.kept_count.until(1)
            await server.asked.more(3)
    assert bench.records.tries.value == 4
    assert bench.records.statuses == ["healthy"]
    said = [line["event"] for line in logs if line["event"].startswith("health_")]
    assert said == ["health_not_recorded"] * 3 + ["health_recorded"]


async def test_a_newer_transition_takes_the_place_of_one_that_is_due(bench: Bench) -> None:
    server = await bench.server()
    bench.records.failures = [ServerUnavailableError("away")] * 1_000
    bench.table.put(route_at(server))
    async with bench.checker():
        await bench.records.tries.until(2)
        server.status = 500
        await server.asked.more(5)
        bench.records.failures.clear()
        await bench.records.kept_count.until(1)
        await server.asked.more(3)
    assert bench.records.statuses == ["unhealthy"]


async def test_probing_goes_on_while_recording_hangs(bench: Bench) -> None:
    server = await bench.server()
    bench.records.hangs = True
    bench.table.put(route_at(server))
    async with bench.checker():
        await bench.records.tries.until(1)
        await server.asked.more(5)
    assert bench.records.tries.value == 1


async def test_a_health_that_someone_else_recorded_is_gone_on_from(bench: Bench) -> None:
    server = await bench.server()
    route = route_at(server)
    bench.table.put(route)
    async with bench.checker():
        await bench.records.kept_count.until(1)
        bench.table.put(replace(route, health="unhealthy", health_at=EntryId(9, 0)))
        await bench.records.kept_count.until(2)
        bench.table.put(replace(route, health="healthy", health_at=EntryId(10, 0)))
        await server.asked.more(3)
    assert bench.records.statuses == ["healthy", "healthy"]


async def test_after_a_first_failure_the_next_probes_come_sooner(bench: Bench) -> None:
    server = await bench.server()
    server.status = 500
    bench.table.put(route_at(server), check=replace(CHECK, interval=3_600.0))
    async with bench.checker(replace(QUICK, fast_interval_s=0.01)):
        await bench.records.kept_count.until(1)
    assert server.asked.value == 3


async def test_flapping_is_damped_and_said_once(bench: Bench) -> None:
    server = await bench.server()
    server.script = (status for pair in repeat((200, 500)) for status in pair)
    bench.table.put(route_at(server), check=replace(CHECK, max_retries=1))
    verdict = VerdictSettings(
        flapping_window_s=600.0, flapping_changes_max=2, flapping_successes_min=2
    )
    with captured_lines() as logs:
        async with bench.checker(replace(QUICK, verdict=verdict)):
            await server.asked.until(20)
    assert bench.records.statuses == ["healthy", "unhealthy", "unhealthy"]
    assert bench.records.flapping == [True]
    assert [line["event"] for line in logs].count("flapping") == 1


async def test_a_checker_that_takes_over_a_flapping_route_holds_it_unhealthy(bench: Bench) -> None:
    server = await bench.server()
    route = replace(
        route_at(server, health="unhealthy", health_ms=5),
        flapping=True,
        flapping_at=EntryId(5, 0),
    )
    bench.table.put(route)
    verdict = VerdictSettings(flapping_window_s=600.0, flapping_successes_min=1)
    async with bench.checker(replace(QUICK, verdict=verdict)):
        await server.asked.until(10)
        assert bench.records.tries.value == 0
        bench.clock.now_s += 600
        await bench.records.kept_count.until(1)
    assert (bench.records.statuses, bench.records.flapping) == (["healthy"], [False])


async def test_flapping_that_another_checker_recorded_is_gone_on_from(bench: Bench) -> None:
    server = await bench.server()
    route = route_at(server, health="healthy", health_ms=5)
    bench.table.put(route)
    async with bench.checker():
        await server.asked.until(2)
        held = replace(route, health="unhealthy", health_at=EntryId(6, 0))
        bench.table.put(replace(held, flapping=True, flapping_at=EntryId(6, 1)))
        await server.asked.more(5)
        assert bench.records.tries.value == 0
        bench.table.put(replace(held, flapping=False, flapping_at=EntryId(7, 0)))
        await bench.records.kept_count.until(1)
    assert bench.records.statuses == ["healthy"]


async def test_a_recorded_interval_below_the_least_probes_no_more_often(bench: Bench) -> None:
    server = await bench.server()
    bench.table.put(route_at(server), check=replace(CHECK, interval=1e-6))
    begun = anyio.current_time()
    async with bench.checker(replace(QUICK, interval_min_s=0.2)):
        await server.asked.until(4)
    assert anyio.current_time() - begun >= 0.59


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CheckerSettings(concurrency_max=0), "concurrency_max must be at least 1, got 0"),
        (lambda: CheckerSettings(fast_interval_s=0), "fast_interval_s must be at least 0.01"),
        (lambda: CheckerSettings(jitter=0.6), "jitter must be at most 0.5, got 0.6"),
        (lambda: CheckerSettings(update_interval_s=-inf), "update_interval_s must be at least 0"),
    ],
)
async def test_settings_that_make_no_sense_are_refused_by_name(
    make: Callable[[], CheckerSettings], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
