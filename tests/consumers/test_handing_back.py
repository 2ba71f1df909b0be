"""A consumer that stops leaves nothing behind that others would wait for."""

from time import monotonic

import anyio

from consumers.runtime.consumer import ConsumerSettings
from consumers.runtime.group import Group
from consumers.runtime.outcome import RetryPolicy
from events.entry.entry_id import START, EntryId
from events.log.log import EventLog
from events.streams.waiting_connections import connection_name
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    Handling,
    append,
    consumer_of,
    consuming,
    create_group,
    deliver,
    make_idle,
    members,
    pending,
    until_settled,
)
from tests.support.waiting import wait_until

PATIENT = ConsumerSettings(
    batch_size=100,
    block_ms=60_000,
    claim_idle_ms=120_000,
    policy=RetryPolicy(tries_max=5, first_s=60.0, most_s=60.0),
)
"""Nothing is claimed and nothing tried again within any test."""


async def until_waiting(log: EventLog, name: str) -> None:
    async def waits() -> bool:
        clients = await log.server.client.execute_command("CLIENT LIST")
        named = connection_name(log.keys, 0, GROUP, name)
        return any(c["name"] == named and "b" in c["flags"] for c in clients)

    await wait_until(waits, f"{name} waits for entries")


async def test_what_a_stopped_consumer_had_is_handled_by_another_at_once(log: EventLog) -> None:
    first, second = Handling(), Handling()
    [bad, *_good] = entries = await append(log, 3)
    first.failures[bad] = ValueError("not here")
    stopping = consumer_of(log, first, name="first", settings=PATIENT)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stopping.run)
        await first.until_handled(*entries[1:])
        await until_waiting(log, "first")
        async with consuming(consumer_of(log, second, name="second", settings=PATIENT)):
            await until_waiting(log, "second")
            began_at = monotonic()
            await stopping.stop()
            await second.until_handled(bad)
            took_s = monotonic() - began_at
            await until_settled(log)

    assert took_s < 10.0  # against 120 s of claim time
    assert (first.calls[bad], second.calls[bad]) == (1, 1)


async def test_handing_back_counts_no_delivery(log: EventLog) -> None:
    entries = await append(log, 2_500)
    await create_group(log)
    await deliver(log, "first", 2_500)

    handed = await Group(log.server, log.keys, 0, GROUP).hand_back("first")

    assert handed == 2_500
    assert await pending(log) == dict.fromkeys(entries, ("first", 1))
    raw = await log.server.client.execute_command(
        "XPENDING", log.keys.events(0), GROUP, "IDLE", 3_600_000, "-", "+", 10_000
    )
    assert len(raw) == 2_500


async def test_only_what_is_ours_is_handed_back(log: EventLog) -> None:
    entries = await append(log, 2)
    await create_group(log)
    await deliver(log, "first", 1)
    await deliver(log, "second", 1)

    await Group(log.server, log.keys, 0, GROUP).hand_back("first")

    raw = await log.server.client.execute_command(
        "XPENDING", log.keys.events(0), GROUP, "IDLE", 3_600_000, "-", "+", 10
    )
    assert [EntryId.parse(one[0]) for one in raw] == [entries[0]]


async def test_the_names_of_a_hundred_restarts_do_not_stay(log: EventLog) -> None:
    group = Group(log.server, log.keys, 0, GROUP)
    await group.ensure(START)
    [kept, fresh] = await append(log, 2)
    for life in range(100):
        await group.join(f"life-{life}")
    await deliver(log, "owner", 1)
    await make_idle(log, "owner", [kept])

    await group.prune(0)

    assert await members(log) == ["owner"]
    assert set(await pending(log)) == {kept}
    assert fresh not in await pending(log)


async def test_what_is_told_of_a_group_names_its_partition(log: EventLog) -> None:
    group = Group(log.server, log.keys, 0, GROUP)
    with captured_lines() as logs:
        await group.ensure(START)
        await group.join("gone")
        await group.prune(0)

    assert [(one["event"], one["group"], one["partition"]) for one in logs] == [
        ("group_created", GROUP, 0),
        ("consumers_pruned", GROUP, 0),
    ]


async def test_a_consumer_that_was_seen_lately_is_not_removed(log: EventLog) -> None:
    group = Group(log.server, log.keys, 0, GROUP)
    await group.ensure(START)
    await group.join("lately")

    await group.prune(60_000)

    assert await members(log) == ["lately"]


async def test_a_consumer_that_starts_removes_those_that_are_gone(log: EventLog) -> None:
    handling = Handling()
    group = Group(log.server, log.keys, 0, GROUP)
    await group.ensure(START)
    quick = ConsumerSettings(batch_size=100, block_ms=50, claim_idle_ms=20)
    for life in range(10):
        await group.join(f"life-{life}")

    async def gone() -> bool:
        return await members(log) == ["first"]

    async def old_enough() -> bool:
        raw = await log.server.client.execute_command("XINFO CONSUMERS", log.keys.events(0), GROUP)
        return all(one["idle"] >= 60 for one in raw)

    await wait_until(old_enough, "the consumers have been gone for three claim times")
    async with consuming(consumer_of(log, handling, settings=quick)):
        await wait_until(gone, "only the one that runs is left")
