"""What becomes of entries whose consumer fell silent, or dies of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from consumers.runtime.consumer import ConsumerSettings
from consumers.runtime.outcome import RetryPolicy
from consumers.runtime.pending import PendingEntries
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    UNCLAIMED,
    Handling,
    append,
    consumer_of,
    consuming,
    create_group,
    dead_letters,
    deliver,
    dying,
    make_idle,
    members,
    pending,
    until_dead,
    until_settled,
)
from tests.support.waiting import wait_until


class DiesError(BaseException):
    """Ends the consumer that meets it, as an exit of its process does."""


@contextmanager
def suppress_death() -> Iterator[None]:
    try:
        yield
    except BaseExceptionGroup as ended:
        _, others = ended.split(DiesError)
        if others is not None:
            raise


async def silent(log: EventLog, count: int) -> list[EntryId]:
    """Append entries, and deliver them to a consumer that does nothing more."""
    appended = await append(log, count)
    await create_group(log)
    await deliver(log, "silent", count)
    return appended


async def test_idle_entries_of_a_silent_consumer_are_claimed(
    log: EventLog, handling: Handling
) -> None:
    entries = await silent(log, 250)

    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(*entries)
        await until_settled(log)

    assert set(handling.calls.values()) == {1}
    assert await members(log) == ["silent"]


async def test_entries_that_are_not_idle_are_left_to_their_consumer(
    log: EventLog, handling: Handling
) -> None:
    entries = await silent(log, 3)

    async with consuming(consumer_of(log, handling, settings=UNCLAIMED)):
        await handling.until_handled(*await append(log, 1))

    assert await pending(log) == dict.fromkeys(entries, ("silent", 1))


async def test_thousands_of_fresh_pending_entries_in_front_do_not_hide_an_idle_one(
    log: EventLog,
) -> None:
    entries = [one for _ in range(2) for one in await append(log, 2_500)]
    [idle] = await append(log, 1)
    await create_group(log)
    await deliver(log, "busy", 5_001)
    await make_idle(log, "busy", [idle])
    hour = ConsumerSettings(batch_size=100, block_ms=50, claim_idle_ms=1_800_000)
    looking = PendingEntries(log.server, log.keys, 0, GROUP, "first")

    [[found]] = [batch async for batch in looking.idle(hour.batch_size, hour.claim_idle_ms)]

    assert found.entry_id == idle
    assert found.deliveries == 2
    assert {name for name, _ in (await pending(log)).values()} == {"busy", "first"}
    assert len(await pending(log)) == len(entries) + 1


async def test_many_idle_entries_that_cannot_be_claimed_do_not_hide_the_one_behind_them(
    log: EventLog,
) -> None:
    entries = await silent(log, 31)
    await make_idle(log, "first", entries[:30])
    await make_idle(log, "silent", entries[30:])
    looking = PendingEntries(log.server, log.keys, 0, GROUP, "first")
    for delivery in [d async for batch in looking.idle(30, 1_000) for d in batch]:
        looking.later(delivery, 3_600)
    await make_idle(log, "first", entries[:30])
    found: list[EntryId] = []
    for _ in range(5):
        found += [d.entry_id async for batch in looking.idle(10, 1_000) for d in batch]

    assert found == [entries[30]]


async def test_an_entry_is_claimed_by_one_of_two_that_look_at_the_same_time(log: EventLog) -> None:
    entries = await silent(log, 200)
    await make_idle(log, "silent", entries)
    found: list[EntryId] = []

    async def look(name: str) -> None:
        looking = PendingEntries(log.server, log.keys, 0, GROUP, name)
        async for batch in looking.idle(200, 1_000):
            found.extend(delivery.entry_id for delivery in batch)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look, "first")
        tasks.start_soon(look, "second")

    assert sorted(found) == entries


async def test_an_entry_deleted_while_pending_is_reported_as_lost(
    log: EventLog, handling: Handling
) -> None:
    first, deleted, last = await silent(log, 3)
    await log.server.client.call("XDEL", log.keys.events(0), str(deleted))

    with captured_lines() as logs:
        async with consuming(consumer_of(log, handling)):
            await handling.until_handled(first, last)
            await until_settled(log)

    [lost] = [one for one in logs if one["event"] == "history_lost"]
    assert (lost["why"], lost["entry_ids"], lost["log_level"]) == (
        "deleted",
        [str(deleted)],
        "error",
    )


async def test_entries_delivered_twice_before_are_processed_alone(log: EventLog) -> None:
    entries = await silent(log, 4)
    await log.server.client.call(
        *("XCLAIM", log.keys.events(0), GROUP, "silent", 0, str(entries[1]), str(entries[2])),
        *("IDLE", 3_600_000, "RETRYCOUNT", 2, "JUSTID"),
    )
    await make_idle(log, "silent", [entries[0], entries[3]])
    looking = PendingEntries(log.server, log.keys, 0, GROUP, "first")

    batches = [
        [(delivery.entry_id, delivery.deliveries) for delivery in batch]
        async for batch in looking.idle(100, 1_000)
    ]

    assert batches == [
        [(entries[0], 2), (entries[3], 2)],
        [(entries[1], 3)],
        [(entries[2], 3)],
    ]


@pytest.mark.parametrize("name", ["the same", "a new"])
@pytest.mark.parametrize("deliveries_max", [1, 2, 3, 5])
async def test_an_entry_that_ends_its_consumer_each_time_ends_as_a_dead_letter_alone(
    log: EventLog, handling: Handling, name: str, deliveries_max: int
) -> None:
    entries = await append(log, 9)
    deadly = {entries[2], entries[6]}
    policy = RetryPolicy(tries_max=deliveries_max)
    settings = ConsumerSettings(batch_size=100, block_ms=20, claim_idle_ms=20, policy=policy)

    async def die(recorded: RecordedEvent) -> None:
        if recorded.entry_id in deadly:
            raise DiesError

    handling.before = die
    for life in range(50):
        consumer = consumer_of(
            log, handling, name="same" if name == "the same" else f"{life}", settings=settings
        )
        with anyio.move_on_after(10):
            with suppress_death():
                async with consuming(consumer):
                    await until_dead(log, 2)
                    await until_settled(log)
                break

    dead = await dead_letters(log)
    assert {one.original.entry_id for one in dead} == deadly
    assert {one.error for one in dead} == {"its consumers died"}
    assert set(handling.handled) == set(entries) - deadly
    tries = max(deliveries_max, 3)
    assert [one.reason for one in dead] == [f"delivered {tries} times without an outcome"] * 2
    assert {handling.calls[one] for one in deadly} <= set(range(1, tries + 1))


async def test_a_consumer_that_is_cut_off_leaves_its_entries_to_the_others(log: EventLog) -> None:
    cut, other = Handling(), Handling()
    entries = await append(log, 5)

    async def hang(_recorded: RecordedEvent) -> None:
        await anyio.sleep_forever()

    cut.before = hang

    async def begun() -> bool:
        return bool(cut.calls)

    async with dying(consumer_of(log, cut, name="cut")):
        await wait_until(begun, "the consumer works on its entries")

    async with consuming(consumer_of(log, other, name="other", settings=QUICK)):
        await other.until_handled(*entries)
        await until_settled(log)

    assert other.handled == entries
