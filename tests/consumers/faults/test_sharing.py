"""Consumers that are removed while they live, that wait for long, that share a name."""

from collections.abc import AsyncIterator

import pytest

from consumers.runtime.consumer import ConsumerSettings
from consumers.runtime.processor import HandlerProcessor
from consumers.runtime.projector import Projector
from events.log.log import EventLog, open_log
from events.server.settings import ServerSettings
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    Handling,
    append,
    consumer_of,
    consuming,
    dead_letters,
    fill,
    folded_in_order,
    members,
    states,
    until_settled,
)
from tests.support.waiting import wait_until

NAME = ROUTE_TABLE.name


class Waiting(HandlerProcessor):
    """Counts how often it was given nothing to do."""

    waits = 0

    async def idle(self) -> None:
        self.waits += 1


@pytest.fixture
async def impatient(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    """A log that waits no longer than 0.2 s for a reply."""
    settings = ServerSettings(url=redis_url, timeout_s=0.2)
    async with open_log(settings, namespace=namespace, source="test") as opened:
        yield opened


async def test_a_consumer_removed_while_it_waits_is_given_entries_as_before(log: EventLog) -> None:
    """Who removes consumers that seem to be gone can be wrong without any harm."""
    handling = Handling()
    with captured_lines() as logs:
        async with consuming(consumer_of(log, handling)):
            before = await append(log, 3)
            await handling.until_handled(*before)
            await until_settled(log)
            for _ in range(5):
                await log.server.client.call(
                    "XGROUP", "DELCONSUMER", log.keys.events(0), GROUP, "first"
                )
                before += await append(log, 2)
                await handling.until_handled(*before)
                await until_settled(log)

    assert handling.handled == before
    assert set(handling.calls.values()) == {1}
    assert await members(log) == []
    assert [one for one in logs if one["log_level"] in {"warning", "error"}] == []


async def test_a_wait_for_longer_than_a_reply_may_take_is_no_failure(impatient: EventLog) -> None:
    handling = Handling()
    waiting = Waiting(handling, QUICK.policy)
    settings = ConsumerSettings(block_ms=700, claim_idle_ms=60_000)
    with captured_lines() as logs:
        async with consuming(consumer_of(impatient, waiting, settings=settings)):
            await wait_until(lambda: waiting.waits >= 2, "it has waited in vain twice")
            entries = await append(impatient, 2)
            await handling.until_handled(*entries)
            await until_settled(impatient)

    assert dict(handling.calls) == dict.fromkeys(entries, 1)
    assert [one for one in logs if one["log_level"] in {"warning", "error"}] == []


async def test_two_projectors_of_one_name_take_each_others_entries_and_lose_none(
    log: EventLog,
) -> None:
    twins = [
        consumer_of(log, Projector(log, ROUTE_TABLE, 0, QUICK.policy), group=NAME, name="twin")
        for _ in range(2)
    ]
    async with consuming(*twins):
        for _ in range(10):
            await fill(log, 5)
        await until_settled(log, NAME)

    assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)
    assert len(await states(log, ROUTE_TABLE)) == 50
    assert await dead_letters(log, NAME) == []
