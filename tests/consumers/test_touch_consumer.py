"""A consumer that waits in vain keeps its idle time fresh, on every server."""

from events.log.log import EventLog
from tests.consumers.support.handler_group import (
    PROMPT,
    handler_consumer_of,
    handling_with,
    until_owned,
)
from tests.support.running_consumer import (
    GROUP,
    Handling,
    consumer_of,
    consuming,
    created,
    members,
)
from tests.support.waiting import wait_until


async def until_touched(log: EventLog, name: str) -> None:
    """Return when its idle time has been refreshed since we asked; until then it grows."""
    before = 0

    async def refreshed() -> bool:
        nonlocal before
        told = await log.server.client.execute_command("XINFO CONSUMERS", log.keys.events(0), GROUP)
        [idle_ms] = [one["idle"] for one in told if one["name"] == name.encode()]
        is_refreshed, before = bool(idle_ms < before), idle_ms
        return is_refreshed

    await wait_until(refreshed, f"{name} refreshes its idle time")


async def test_a_consumer_of_a_quiet_log_keeps_its_idle_time_fresh(log: EventLog) -> None:
    handling = Handling()
    async with consuming(consumer_of(log, handling)):
        [entry_id] = (await log.append(created())).entry_ids
        await handling.until_handled(entry_id)
        for _ in range(3):
            await until_touched(log, "first")
    assert dict(handling.calls) == {entry_id: 1}


async def test_the_owner_of_a_quiet_partition_keeps_its_idle_time_fresh(log: EventLog) -> None:
    handling = Handling()
    async with handling_with(handler_consumer_of(log, handling, settings=PROMPT)):
        await until_owned(log, "first")
        for _ in range(3):
            await until_touched(log, "first")


async def test_waiting_for_a_lease_keeps_the_idle_time_fresh_and_loses_no_entry(
    log: EventLog,
) -> None:
    handling = Handling()

    async def is_there() -> bool:
        return "second" in await members(log)

    async with handling_with(handler_consumer_of(log, handling, settings=PROMPT)):
        await until_owned(log, "first")
        waiting = handler_consumer_of(log, handling, name="second", settings=PROMPT)
        async with handling_with(waiting):
            await wait_until(is_there, "the second waits")
            ids = (await log.append(created(), created())).entry_ids
            for _ in range(3):
                await until_touched(log, "second")
            await handling.until_handled(*ids)
    assert set(handling.handled) == set(ids)
