from time import monotonic

import anyio
import anyio.lowlevel

from consumers.processes.embedded import EmbeddedServer
from consumers.runtime.consumer import Consumer, ConsumerSettings
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog, open_log
from tests.support.running_consumer import (
    QUICK,
    Handling,
    append,
    consumer_of,
    consuming,
    create_group,
    deliver,
    members,
    pending,
    until_settled,
)
from tests.support.waiting import wait_until

PATIENT = ConsumerSettings(batch_size=10, block_ms=60_000, claim_idle_ms=600_000)


async def until_blocked(log: EventLog) -> None:
    async def blocked() -> bool:
        about = await log.server.client.execute_command("CLIENT LIST")
        return any(one["cmd"] == "xreadgroup" and "b" in one["flags"] for one in about)

    await wait_until(blocked, "the consumer waits for new entries")


async def stopped_after_s(consumer: Consumer) -> float:
    began_at = monotonic()
    with anyio.fail_after(20):
        await consumer.stop()
    return monotonic() - began_at


async def test_a_consumer_that_waits_for_entries_stops_at_once(
    own_server: EmbeddedServer, namespace: str, handling: Handling
) -> None:
    async with open_log(own_server.url, namespace=namespace) as log:
        consumer = consumer_of(log, handling, settings=PATIENT)
        async with consuming(consumer):
            await until_blocked(log)
            assert await stopped_after_s(consumer) < 1.0


async def test_stopping_while_entries_arrive_loses_none(log: EventLog) -> None:
    await create_group(log)
    appended: list[EntryId] = []
    handled: list[EntryId] = []

    done = anyio.Event()

    async def keep_appending() -> None:
        while not done.is_set():
            appended.extend(await append(log, 3))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_appending)
        for life in range(25):
            handling = Handling()
            consumer = consumer_of(log, handling, name=f"life-{life}", settings=PATIENT)
            async with anyio.create_task_group() as running:
                running.start_soon(consumer.run)
                for _ in range(life):
                    await anyio.lowlevel.checkpoint()
                assert await stopped_after_s(consumer) < 1.0
            handled += handling.handled
            assert await pending(log) == {}
        done.set()

    last = Handling()
    async with consuming(consumer_of(log, last)):
        await until_settled(log)
    assert handled + last.handled == appended


async def test_stopping_while_a_batch_is_processed_finishes_what_was_read(
    log: EventLog, handling: Handling
) -> None:
    go_on = anyio.Event()
    entries = await append(log, 100)

    async def wait(_recorded: RecordedEvent) -> None:
        await go_on.wait()

    async def begun() -> bool:
        return bool(handling.calls)

    handling.before = wait
    consumer = consumer_of(log, handling, settings=PATIENT)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consumer.run)
        await wait_until(begun, "the first batch is being processed")
        tasks.start_soon(consumer.stop)
        await anyio.wait_all_tasks_blocked()
        go_on.set()

    assert handling.handled == entries[: len(handling.handled)]
    assert 10 <= len(handling.handled) <= 20
    assert await pending(log) == {}
    assert await members(log) == []


async def test_stopping_while_much_is_pending_finishes_the_batch_and_leaves_the_rest(
    log: EventLog, handling: Handling
) -> None:
    entries = await append(log, 100)
    await create_group(log)
    await deliver(log, "first", 100)
    go_on = anyio.Event()

    async def wait(_recorded: RecordedEvent) -> None:
        await go_on.wait()

    async def begun() -> bool:
        return bool(handling.calls)

    handling.before = wait
    consumer = consumer_of(log, handling, settings=PATIENT)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consumer.run)
        await wait_until(begun, "the first batch is being processed")
        tasks.start_soon(consumer.stop)
        await anyio.wait_all_tasks_blocked()
        go_on.set()

    assert handling.handled == entries[:10]
    assert set(await pending(log)) == set(entries[10:])
    assert await members(log) == ["first"]


async def test_a_consumer_stops_although_the_server_is_away(
    own_server: EmbeddedServer, namespace: str, handling: Handling
) -> None:
    async with open_log(own_server.url, namespace=namespace) as log:
        consumer = consumer_of(log, handling, settings=QUICK)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(consumer.run)
            await handling.until_handled(*await append(log, 1))
            own_server.kill()
            assert await stopped_after_s(consumer) < 2.0
