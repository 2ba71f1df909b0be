"""A projector's process is killed at each step of its way; another one takes over.

The moments are exact: a frozen process does not take its next step, and a proxy keeps a request
from the server for as long as the test wants.
"""

from collections.abc import AsyncIterator

import pytest

from events.log.log import EventLog
from events.server.script import script_text
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.group_process import Processes, processes
from tests.support.running_consumer import (
    append,
    dead_letters,
    documents,
    fill,
    folded_in_order,
    members,
    pending,
    states,
    until_settled,
)
from tests.support.script_calls import call_of
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

NAME = ROUTE_TABLE.name
APPLY = call_of("projections.read_model", "apply")


@pytest.fixture
async def started(log: EventLog, redis_url: str) -> AsyncIterator[Processes]:
    await log.server.client.call("SCRIPT LOAD", script_text("projections.read_model", "apply"))
    async with processes(log, redis_url) as some:
        yield some


async def until_pending(log: EventLog, consumer: str, count: int) -> None:
    async def all_there() -> bool:
        owners = [name for name, _ in (await pending(log, NAME)).values()]
        return owners == [consumer] * count

    await wait_until(all_there, f"{count} entries are pending with {consumer}")


async def assert_exact(log: EventLog) -> None:
    """Assert that the read model is the in-order fold of the log, and that nothing is left."""
    assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)
    assert await pending(log, NAME) == {}
    assert await dead_letters(log, NAME) == []


async def revisions(log: EventLog) -> set[int]:
    return {revision for revision, _ in (await documents(log, ROUTE_TABLE)).values()}


async def test_killed_between_reading_and_applying_nothing_is_lost(
    log: EventLog, started: Processes, proxy: TcpProxy
) -> None:
    victim = await started.start(NAME, "victim", url=proxy.url)
    held = proxy.hold_next(APPLY)
    await append(log, 10)
    await held.arrived.wait()
    await victim.kill()
    await until_pending(log, "victim", 10)
    assert await documents(log, ROUTE_TABLE) == {}

    await started.start(NAME, "other")
    await until_settled(log, NAME)

    await assert_exact(log)
    assert await revisions(log) == {1}


async def test_killed_with_entries_delivered_that_it_never_saw_nothing_is_lost(
    log: EventLog, started: Processes
) -> None:
    victim = await started.start(NAME, "victim", block_ms=60_000)  # it still waits when frozen
    victim.freeze()
    await append(log, 10)
    await until_pending(log, "victim", 10)
    await victim.kill()
    assert await documents(log, ROUTE_TABLE) == {}

    await started.start(NAME, "other")
    await until_settled(log, NAME)

    await assert_exact(log)
    assert await revisions(log) == {1}


async def test_killed_after_applying_before_it_knew_nothing_is_applied_twice(
    log: EventLog, started: Processes, proxy: TcpProxy
) -> None:
    victim = await started.start(NAME, "victim", url=proxy.url)
    held = proxy.hold_next(APPLY)
    await append(log, 10)
    await held.arrived.wait()
    victim.freeze()
    await until_pending(log, "victim", 10)
    await held.release()
    await assert_exact(log)
    await victim.kill()

    await started.start(NAME, "other")
    await append(log, 10)
    await until_settled(log, NAME)

    await assert_exact(log)
    assert await revisions(log) == {1}


async def test_an_apply_that_arrives_when_another_has_taken_over_changes_nothing(
    log: EventLog, started: Processes, proxy: TcpProxy
) -> None:
    """The request was on its way when its process was given up: a late write of an old state."""
    victim = await started.start(NAME, "victim", url=proxy.url)
    held = proxy.hold_next(APPLY)
    await fill(log, 3)
    await held.arrived.wait()
    victim.freeze()

    await started.start(NAME, "other")
    await until_settled(log, NAME)
    await fill(log, 3)
    await until_settled(log, NAME)
    after = await documents(log, ROUTE_TABLE)
    await held.release()

    assert await documents(log, ROUTE_TABLE) == after
    await assert_exact(log)


async def test_a_reply_to_an_apply_that_is_lost_is_no_second_apply(
    log: EventLog, started: Processes, proxy: TcpProxy
) -> None:
    await started.start(NAME, "first", url=proxy.url)
    proxy.lose_next_reply_to(APPLY)
    await append(log, 10)
    await until_settled(log, NAME)
    await append(log, 10)
    await until_settled(log, NAME)

    assert proxy.lost == 1
    await assert_exact(log)
    assert await revisions(log) == {1}


async def test_a_lost_reply_to_a_read_leaves_nothing_behind(
    log: EventLog, started: Processes, proxy: TcpProxy
) -> None:
    await started.start(NAME, "first", url=proxy.url)
    for _ in range(3):
        proxy.lose_next_reply_to(b"XREADGROUP")
        await fill(log, 2)
    await until_settled(log, NAME)

    await assert_exact(log)


@pytest.mark.parametrize("batch_size", [7, 10_000])
async def test_killed_again_and_again_under_load_the_read_model_is_exact(
    log: EventLog, started: Processes, batch_size: int
) -> None:
    stays = await started.start(NAME, "stays", batch_size=batch_size)
    for life in range(3):
        victim = await started.start(NAME, f"victim-{life}", batch_size=batch_size)
        for _ in range(5):
            await fill(log, 30)
        await victim.kill()
    await until_settled(log, NAME)

    await assert_exact(log)
    assert await stays.stop() == 0
    assert "stays" not in await members(log, NAME)
