"""Who waits in vain is heard of all the same, on every server."""

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


async def until_heard_of(log: EventLog, name: str) -> None:
    """Return when the server has heard of it since we asked: until then its idle time grows."""
    before = 0

    async def heard() -> bool:
        nonlocal before
        told = await log.server.client.execute_command("XINFO CONSUMERS", log.keys.events(0), GROUP)
        [idle_ms] = [one["idle"] for one in told if one["name"] == name.encode()]
        is_heard, before = bool(idle_ms < before), idle_ms
        return is_heard

    await wait_until(heard, f"{name} is heard of")


async def test_a_consumer_of_a_quiet_log_is_heard_of(log: EventLog) -> None:
    handling = Handling()
    async with consuming(consumer_of(log, handling)):
        [entry_id] = (await log.append(created())).entry_ids
        await handling.until_handled(entry_id)
        for _ in range(3):
            await until_heard_of(log, "first")
    assert dict(handling.calls) == {entry_id: 1}


async def test_the_owner_of_a_quiet_partition_is_heard_of(log: EventLog) -> None:
    handling = Handling()
    async with handling_with(handler_consumer_of(log, handling, settings=PROMPT)):
        await until_owned(log, "first")
        for _ in range(3):
            await until_heard_of(log, "first")


async def test_who_waits_for_a_lease_is_heard_of_and_no_entry_is_lost_to_it(log: EventLog) -> None:
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
                await until_heard_of(log, "second")
            await handling.until_handled(*ids)
    assert set(handling.handled) == set(ids)
