"""Whatever a group will not be given is found, told and counted, however it came to that."""

from collections.abc import Iterable
from contextlib import suppress

import pytest

from consumers.processes.embedded import embedded_server
from consumers.runtime.group import Group
from consumers.runtime.group_history import GroupHistory
from consumers.runtime.losses import Loss
from events.entry.entry_id import START, EntryId
from events.errors import ServerUnavailableError
from events.log.log import EventLog, open_log
from tests.consumers.support.handler_group import (
    LASTING,
    handler_consumer_of,
    handling_with,
    until_owned,
)
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    UNCLAIMED,
    Handling,
    append,
    consumer_of,
    consuming,
    deliver,
    until_settled,
)
from tests.support.waiting import wait_until


def history_of(log: EventLog, consumer: str = "first") -> GroupHistory:
    return GroupHistory(log.server, log.keys, 0, (GROUP, consumer))


async def losses(log: EventLog) -> list[Loss]:
    return await history_of(log).losses.read()


async def total(log: EventLog) -> int:
    return await history_of(log).losses.total()


async def move(log: EventLog, to: EntryId | str) -> None:
    await log.server.client.call("XGROUP", "SETID", log.keys.events(0), GROUP, str(to))


async def handle(log: EventLog, entry_ids: Iterable[EntryId]) -> None:
    """Let a consumer handle *entry_ids*, and stop."""
    handling = Handling()
    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(*entry_ids)
        await until_settled(log)


async def test_a_group_that_was_moved_past_entries_while_nobody_consumed_has_lost_them(
    log: EventLog,
) -> None:
    await handle(log, await append(log, 3))
    passed_over = await append(log, 4)
    await move(log, "$")
    later = await append(log, 2)
    await handle(log, later)

    [loss] = await losses(log)
    assert (loss.why, loss.entries, loss.is_least) == ("passed over", 4, False)
    assert (loss.first, loss.last) == (passed_over[0], passed_over[-1])
    assert await total(log) == 4


@pytest.mark.parametrize("is_owned", [False, True], ids=["shared", "owned"])
async def test_a_group_that_is_moved_under_its_consumer_has_lost_what_was_passed_over(
    log: EventLog, *, is_owned: bool
) -> None:
    handling = Handling()
    first = await append(log, 3)
    running = (
        handling_with(handler_consumer_of(log, handling))
        if is_owned
        else consuming(consumer_of(log, handling))
    )
    async with running:
        await handling.until_handled(*first)
        await until_settled(log)
        pipeline = (await log.server.at(log.keys.events(0))).pipeline(transaction=True)
        for _ in range(5):
            pipeline.xadd(log.keys.events(0), {"name": "odd"})
        pipeline.xgroup_setid(log.keys.events(0), GROUP, "$")
        await pipeline.execute()
        later = await append(log, 2)
        await handling.until_handled(*later)

    [loss] = await losses(log)
    assert (loss.why, loss.entries) == ("passed over", 5)


async def test_a_group_that_is_moved_back_is_told_and_has_lost_nothing(log: EventLog) -> None:
    entries = await append(log, 3)
    await handle(log, entries)
    await move(log, entries[0])
    with captured_lines() as lines:
        await handle(log, entries[1:])

    assert [one["was"] for one in lines if one["event"] == "group_moved"] == [str(entries[2])]
    assert await losses(log) == []


async def test_pending_entries_whose_consumer_somebody_deleted_are_lost(log: EventLog) -> None:
    await Group(log.server, log.keys, 0, GROUP).ensure(START)
    history = history_of(log, "second")
    entries = await append(log, 4)
    await history.look()
    await deliver(log, "gone", 4)
    await history.look()
    await log.server.client.call("XGROUP", "DELCONSUMER", log.keys.events(0), GROUP, "gone")
    with captured_lines() as lines:
        for _ in range(3):
            await history.look()

    [loss] = await losses(log)
    assert (loss.why, loss.entries, loss.is_least) == ("dropped", 1, True)
    assert (loss.first, loss.last) == (entries[0], entries[-1])
    assert len([one for one in lines if one["event"] == "history_lost"]) == 1


async def test_entries_deleted_before_the_group_was_given_them_are_counted(log: EventLog) -> None:
    await Group(log.server, log.keys, 0, GROUP).ensure(START)
    entries = await append(log, 6)
    await deliver(log, "first", 1)
    history = history_of(log)
    await history.look()
    for number in (4, 2):
        await log.server.client.call("XDEL", log.keys.events(0), str(entries[number]))
        await history.look()

    assert {loss.why for loss in await losses(log)} == {"deleted"}
    assert await total(log) == 2


async def test_a_flush_under_consumers_that_have_read_nothing_is_counted_once(
    log: EventLog,
) -> None:
    entries = await append(log, 7)
    await handle(log, entries)
    first, second = (consumer_of(log, Handling(), name=name) for name in ("first", "second"))
    async with consuming(first, second):
        await wait_until(
            lambda: first.progress.state == second.progress.state == "consuming", "both consume"
        )
        await log.server.client.call("DEL", *await keys_of(log))

        async def is_told() -> bool:
            return await total(log) > 0

        await wait_until(is_told, "the loss is told")
        later = await append(log, 2)
        await until_settled(log)
    assert later
    assert {(loss.why, loss.first, loss.last) for loss in await losses(log)} == {
        ("rewound", entries[0], entries[-1])
    }
    assert await total(log) == 7


async def keys_of(log: EventLog) -> list[bytes]:
    found: list[bytes] = await log.server.client.execute_command("KEYS", f"*{log.keys.namespace}*")
    return found


async def test_a_renaming_away_and_back_is_noticed(log: EventLog) -> None:
    handling, stream = Handling(), log.keys.events(0)
    away = f"{stream}:away"
    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(*await append(log, 3))
        await until_settled(log)
        await log.server.client.call("RENAME", stream, away)
        meanwhile = await append(log, 4)
        await handling.until_handled(*meanwhile)
        await until_settled(log)
        await log.server.client.call("RENAME", away, stream)
        await handling.until_handled(*await append(log, 1))
        await until_settled(log)
    # While it was away, the three of before were gone.
    assert [loss.entries for loss in await losses(log)][-1] == 4
    assert (await losses(log))[-1].last == meanwhile[-1]


async def test_an_owner_whose_server_is_back_within_its_lease_tells_what_went_back(
    namespace: str,
) -> None:
    with embedded_server("--appendonly", "no") as server:
        async with open_log(server.url, namespace=namespace) as log:
            handling = Handling()
            async with handling_with(handler_consumer_of(log, handling, settings=LASTING)):
                await until_owned(log, "first")
                entries = await append(log, 5)
                await handling.until_handled(*entries[:1])
                await until_settled(log)
                await log.server.client.call("SAVE")
                lost = await append(log, 6)
                await handling.until_handled(*lost)
                await until_settled(log)
                server.kill()
                server.start()

                async def is_told() -> bool:
                    with suppress(ServerUnavailableError):
                        return await total(log) > 0
                    return False

                await wait_until(is_told, "the loss is told")
            assert await total(log) == 6
            [loss] = await losses(log)
            assert (loss.why, loss.first, loss.last) == ("rewound", lost[0], lost[-1])


async def test_trims_by_hand_under_load_are_counted_exactly(log: EventLog) -> None:
    handling = Handling()
    stream = log.keys.events(0)
    names = ("one", "two")
    consumers = [consumer_of(log, handling, name=name, settings=UNCLAIMED) for name in names]
    async with consuming(*consumers):
        await handling.until_handled(*await append(log, 1))
        for _ in range(10):
            pipeline = (await log.server.at(log.keys.events(0))).pipeline(transaction=True)
            for _ in range(20):
                pipeline.xadd(stream, {"name": "odd"})
            pipeline.xtrim(stream, maxlen=4, approximate=False)
            await pipeline.execute()
        await until_settled(log)
    added = await log.server.client.execute_command("XINFO STREAM", stream)
    counts = [consumer.progress.counts for consumer in consumers]
    given = sum(count.handled + count.skipped for count in counts)
    assert 0 < await total(log) == added["entries-added"] - given


async def test_two_consumers_under_load_tell_nothing_where_nothing_is_lost(log: EventLog) -> None:
    handling = Handling()
    appended: list[EntryId] = []
    with captured_lines() as lines:
        async with consuming(*(consumer_of(log, handling, name=name) for name in ("one", "two"))):
            for number in range(60):
                if number == 30:
                    await log.server.client.call("SCRIPT FLUSH")
                appended += await append(log, 7)
            await handling.until_handled(*appended)
            await until_settled(log)
    assert await losses(log) == []
    assert not [one for one in lines if one["event"] in {"history_lost", "group_moved"}]
