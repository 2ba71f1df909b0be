"""A checker that stood still itself says nothing about the routes that it meant to probe."""

import time
from collections.abc import AsyncIterator

import anyio
import pytest
from msgspec.structs import replace

from producers.checker.probe import open_session
from tests.producers.support.checker_ports import CHECK, LOOPBACK, Bench, route_at
from tests.support.log_lines import captured_lines


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_session(LOOPBACK) as session:
        made = Bench(session)
        yield made
        await made.aclose()


async def test_an_answer_that_the_checker_was_too_late_to_take_is_no_failure(bench: Bench) -> None:
    server = await bench.server()
    check = replace(CHECK, max_retries=1, max_wait_time=0.2)
    bench.table.put(route_at(server, health="healthy", health_ms=5), check=check)
    server.let_go = anyio.Event()
    with captured_lines() as lines:
        async with bench.checker() as checker:
            for _ in range(3):
                await server.asked.more(1)
                time.sleep(0.6)  # noqa: ASYNC251 - the stall that the test is about
            assert checker.probe_ages_s() == {}
            assert bench.records.kept == []
            told = [line["event"] for line in lines]
            assert told.count("checker_stalled") >= 2
            assert told.count("probe_void") == 1
            # The checker runs again: what the route now lacks is its own.
            await bench.records.kept_count.until(1)
    assert bench.records.reasons == [("no answer within 0.2 s", 1)]


async def test_a_failure_that_is_an_answer_counts_however_the_checker_stood_still(
    bench: Bench,
) -> None:
    server = await bench.server()
    server.status = 500
    check = replace(CHECK, max_retries=1)
    bench.table.put(route_at(server, health="healthy", health_ms=5), check=check)
    async with bench.checker():
        await server.asked.more(1)
        time.sleep(0.6)  # noqa: ASYNC251 - the stall that the test is about
        await bench.records.kept_count.until(1)
    assert bench.records.reasons == [("HTTP 500, expected 200", 1)]
