"""A group that was lost goes on from where it stood, by our own knowledge."""

import pytest

from consumers.runtime.group import Group
from events.entry.entry_id import START, EntryId
from events.log.keys import Keys
from events.log.layout import read_layout
from events.log.log import EventLog, open_log
from events.log.positions import Positions, group_holder
from events.retention.retention import KEEP_MIN_S, RetentionRule
from events.retention.trim import Trim
from tests.support.running_consumer import (
    GROUP,
    Handling,
    append,
    consumer_of,
    consuming,
    deliver,
    pending,
    until_settled,
)


@pytest.fixture
def group(log: EventLog) -> Group:
    return Group(log.server, log.keys, 0, GROUP)


@pytest.fixture
def positions(log: EventLog) -> Positions:
    return Positions(log.server, log.keys, 0)


async def destroy(log: EventLog) -> None:
    await log.server.client.call("XGROUP", "DESTROY", log.keys.events(0), GROUP)


async def acknowledge(log: EventLog, *entry_ids: EntryId) -> None:
    await log.server.client.call("XACK", log.keys.events(0), GROUP, *map(str, entry_ids))


async def begins_behind(log: EventLog) -> tuple[EntryId, int | None]:
    [about] = await log.server.client.execute_command("XINFO GROUPS", log.keys.events(0))
    return EntryId.parse(about["last-delivered-id"]), about["entries-read"]


async def test_a_group_that_is_lost_before_it_read_anything_still_holds_the_log(
    log: EventLog, group: Group, positions: Positions
) -> None:
    entries = await append(log, 3)
    await group.ensure(entries[0])
    await destroy(log)
    await append(log, 2)
    assert await positions.of(group_holder(GROUP)) == entries[0]
    now_ms = entries[-1].ms + 10 * round(KEEP_MIN_S * 1_000)
    rule = RetentionRule(KEEP_MIN_S, (), ("archive", "snapshot"))

    steps = [step async for step in Trim(log, 0, rule).steps(now_ms)]

    assert (steps[-1].held_by, steps[-1].cut) == (group_holder(GROUP), entries[0])
    assert await log.head(0) > entries[0]
    assert [one.entry_id async for one in log.read()][:3] == entries


async def test_a_group_stands_before_its_oldest_pending_entry(log: EventLog, group: Group) -> None:
    entries = await append(log, 5)
    await group.ensure(START)
    await deliver(log, "first", 4)
    await acknowledge(log, entries[0], entries[2])

    stands = await group.keep_position()

    assert entries[0] <= stands < entries[1]
    assert stands.after() == entries[1]


async def test_a_group_with_nothing_pending_stands_behind_what_it_was_delivered(
    log: EventLog, group: Group, positions: Positions
) -> None:
    entries = await append(log, 5)
    await group.ensure(START)
    await deliver(log, "first", 3)
    await acknowledge(log, *entries[:3])

    assert await group.keep_position() == entries[2]
    assert await positions.of(group_holder(GROUP)) == entries[2]


async def test_a_lost_group_begins_where_it_stood_and_not_where_it_is_told(
    log: EventLog, group: Group
) -> None:
    entries = await append(log, 5)
    await group.ensure(START)
    await deliver(log, "first", 4)
    await acknowledge(log, *entries[:2])
    await group.keep_position()
    await destroy(log)

    assert await group.ensure(START)

    behind, read = await begins_behind(log)
    assert behind.after() == entries[2]
    assert read == 2


async def test_a_group_that_is_there_is_left_alone(log: EventLog, group: Group) -> None:
    entries = await append(log, 5)
    assert await group.ensure(entries[1])
    assert not await group.ensure(entries[3])

    assert await begins_behind(log) == (entries[1], 2)


async def test_a_position_of_another_history_is_not_gone_on_from(
    log: EventLog, group: Group, positions: Positions
) -> None:
    await positions.advance(group_holder(GROUP), EntryId(2**52, 5))
    await append(log, 3)

    await group.ensure(START)

    assert await begins_behind(log) == (START, 0)


async def test_a_position_of_another_history_is_corrected_by_the_next_one(
    log: EventLog, group: Group, positions: Positions
) -> None:
    await positions.advance(group_holder(GROUP), EntryId(2**52, 5))
    entries = await append(log, 3)
    await group.ensure(START)
    await deliver(log, "first", 3)
    await acknowledge(log, *entries)

    await group.keep_position()

    assert await positions.of(group_holder(GROUP)) == entries[2]


async def test_what_was_handled_before_the_group_was_lost_is_not_handled_again(
    log: EventLog,
) -> None:
    handling = Handling()
    before = await append(log, 20)
    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(*before)
        await until_settled(log)
    await destroy(log)
    after = await append(log, 5)

    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(*after)
        await until_settled(log)

    assert dict(handling.calls) == dict.fromkeys([*before, *after], 1)


async def test_what_was_pending_when_the_group_was_lost_is_handled(log: EventLog) -> None:
    handling = Handling()
    first, second, third = await append(log, 3)
    await Group(log.server, log.keys, 0, GROUP).ensure(START)
    await deliver(log, "gone", 3)
    await acknowledge(log, first)
    await Group(log.server, log.keys, 0, GROUP).keep_position()
    await destroy(log)

    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(second, third)
        await until_settled(log)

    assert dict(handling.calls) == {second: 1, third: 1}
    assert await pending(log) == {}


async def test_the_layout_is_written_again_when_the_server_lost_it_alone(
    redis_url: str, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=4) as log:
        await log.server.client.call("DEL", Keys(namespace).layout)
        handling = Handling()
        async with consuming(consumer_of(log, handling)):
            raw = await log.server.client.execute_command(
                "XADD", log.keys.events(0), "*", "name", "odd"
            )
            await until_settled(log)
        assert EntryId.parse(raw) > START
        assert await read_layout(log.server.client, log.keys) == log.layout
