"""The server's clock is set back while entries are appended, pending and claimed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from consumers.processes.embedded import EmbeddedServer
from consumers.runtime.consumer import Consumer
from consumers.runtime.projector import Projector
from events.entry.entry_id import EntryId
from events.log.log import EventLog, open_log
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.clock import Clock, server_with
from tests.support.running_consumer import (
    QUICK,
    Handling,
    consumer_of,
    consuming,
    create_group,
    created,
    deliver,
    fill,
    folded_in_order,
    pending,
    states,
    until_settled,
)

NAME = ROUTE_TABLE.name
HOUR = timedelta(hours=1)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def server(clock: Clock) -> Iterator[EmbeddedServer]:
    with server_with(clock) as running:
        yield running


async def add_ahead(log: EventLog, by: timedelta) -> EntryId:
    """Add an entry that is nothing, under an id of which the clock knows nothing yet."""
    now_s, _ = await log.server.client.execute_command("TIME")
    ahead = EntryId(int(now_s) * 1_000 + round(by.total_seconds() * 1_000), 7)
    await log.server.client.call("XADD", log.keys.events(0), str(ahead), "name", "later")
    return ahead


def projecting(log: EventLog) -> Consumer:
    return consumer_of(log, Projector(log, ROUTE_TABLE, 0, QUICK.policy), group=NAME)


async def test_behind_an_id_that_is_ahead_of_the_clock_ids_still_rise_and_all_are_handled_once(
    log: EventLog,
) -> None:
    handling = Handling()
    async with consuming(consumer_of(log, handling), projecting(log)):
        before = (await log.append(created(), created())).entry_ids
        ahead = await add_ahead(log, HOUR)
        await fill(log, 2)
        after = [one.entry_id async for one in log.read(ahead)]
        await handling.until_handled(*before, *after)
        await until_settled(log)
        await until_settled(log, NAME)

    assert len(after) == 12
    assert after == [EntryId(ahead.ms, seq) for seq in range(8, 20)]
    assert handling.handled == [*before, *after]
    assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)


async def test_with_the_clock_set_back_ids_still_rise_and_all_are_handled_once(
    server: EmbeddedServer, clock: Clock, namespace: str
) -> None:
    handling = Handling()
    async with (
        open_log(server.url, namespace=namespace, source="test") as log,
        consuming(consumer_of(log, handling), projecting(log)),
    ):
        before = [one for _ in range(3) for one in (await log.append(created())).entry_ids]
        clock.set_back(HOUR)
        await fill(log, 2)
        after = [one.entry_id async for one in log.read(before[-1].after())]
        await handling.until_handled(*before, *after)
        await until_settled(log)
        await until_settled(log, NAME)
        assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)

    assert len(after) == 12
    assert handling.handled == sorted([*before, *after])
    assert {one.ms for one in after} == {before[-1].ms}


async def test_what_was_pending_when_the_clock_was_set_back_is_claimed_in_time(
    server: EmbeddedServer, clock: Clock, namespace: str
) -> None:
    """By the server's clock it was delivered in an hour, and has been idle for no time."""
    handling = Handling()
    async with open_log(server.url, namespace=namespace, source="test") as log:
        entries = list((await log.append(created(), created(), created())).entry_ids)
        await create_group(log)
        await deliver(log, "silent", 3)
        clock.set_back(HOUR)
        async with consuming(consumer_of(log, handling)):
            await handling.until_handled(*entries)
            await until_settled(log)
        assert await pending(log) == {}

    assert dict(handling.calls) == dict.fromkeys(entries, 1)
