"""What expires lasts no longer than was asked, also where the server's clock is set back."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from consumers.handlers.handler_settings import HandlerSettings
from consumers.runtime.outcome import RetryPolicy
from events import EventLog, RecordedEvent, open_log
from tests.consumers.support.handler_group import (
    append,
    handler_consumer_of,
    handling_with,
    lease_of,
    owner,
)
from tests.support.clock import Clock, server_with
from tests.support.histories import created, endpoint_of, history
from tests.support.read_model import WrittenTable
from tests.support.running_consumer import GROUP, Handling, create_group
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)
LEASE_MS = 500


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
async def log(clock: Clock, namespace: str) -> AsyncIterator[EventLog]:
    with server_with(clock) as server:
        async with open_log(server.url, namespace=namespace, source="test") as opened:
            await create_group(opened)
            yield opened


@pytest.mark.parametrize("noted", ["5 dead#1 500", "5 dead#1"], ids=["now", "release before"])
async def test_the_lease_of_a_dead_owner_does_not_grow(
    log: EventLog, clock: Clock, noted: str
) -> None:
    await log.server.client.call("SET", log.keys.lease(0, GROUP), noted, "PX", LEASE_MS)
    clock.set_back(HOUR)
    with anyio.fail_after(30):
        await lease_of(log, "living", LEASE_MS).take()
    assert await owner(log) == "living"


async def test_the_lease_of_a_living_owner_is_not_cut_by_one_who_asks_for_less(
    log: EventLog,
) -> None:
    await lease_of(log, "living", 60_000).take()
    with anyio.move_on_after(0.3):
        await lease_of(log, "waiting", LEASE_MS).take()
    left_ms = await log.server.client.execute_command("PTTL", log.keys.lease(0, GROUP))
    assert left_ms > 30_000


async def test_the_wait_for_the_next_try_does_not_grow(log: EventLog, clock: Clock) -> None:
    handled = Handling()

    async def fail(_recorded: RecordedEvent) -> None:
        clock.set_back(HOUR)
        raise RuntimeError("not yet")

    once = HandlerSettings(policy=RetryPolicy(tries_max=9, first_s=0.5, most_s=60.0))
    [entry] = await append(log, created())
    async with handling_with(handler_consumer_of(log, fail, settings=once)):
        await until_noted(log)
    clock.set_back(2 * HOUR)
    with anyio.fail_after(30):
        async with handling_with(handler_consumer_of(log, handled, name="second")):
            await handled.until_handled(entry)


async def until_noted(log: EventLog) -> None:
    async def failed() -> bool:
        noted = await log.server.client.execute_command("HVALS", log.keys.tries(0, GROUP))
        return any(int(value.split()[1]) for value in noted)

    await wait_until(failed, "a try has failed")


@pytest.mark.parametrize("asked", ["1 500", "1"], ids=["now", "release before"])
async def test_a_pause_for_a_change_over_does_not_grow(
    log: EventLog, clock: Clock, asked: str
) -> None:
    table = WrittenTable(log)
    endpoint = endpoint_of(history(created()))
    await table.begin(endpoint)
    await log.server.client.call("SET", log.keys.pause(0, "route-table"), asked, "PX", 500)
    clock.set_back(HOUR)
    with anyio.fail_after(30):
        await table.put(endpoint)
