"""A group that is moved or removed by hand, in one step, with everything that is kept for it."""

import pytest

from consumers.groups.change import GroupActiveError, GroupChange, GroupMovedError
from consumers.groups.operations import newest_operations, operation
from consumers.groups.state import GroupState, read_group_states
from consumers.runtime.group_history import GroupHistory
from events.entry.entry_id import END, START, EntryId
from events.log.log import EventLog
from events.log.positions import Positions
from events.streams.stream_group import REQUEUER
from tests.events.support.old_entries import add_old, create, leave_group, old_id, read

GROUP = "readers"
WHAT = operation(GROUP, "groups reset", "a test")


async def fill(log: EventLog) -> None:
    """Let the group, which has no consumer any more, have ended 6 of 10 entries."""
    await leave_group(log, GROUP)
    await Positions(log.server, log.keys, 0).advance(f"group:{GROUP}", old_id(5))


def change(log: EventLog) -> GroupChange:
    return GroupChange(log, 0, GROUP)


async def state(log: EventLog) -> GroupState:
    [found] = [one async for one in read_group_states(log)]
    return found


@pytest.mark.parametrize(
    ("to", "behind", "lag"),
    [
        (START, START, 10),
        (END, old_id(9), 0),
        (old_id(3), old_id(2), 7),
        (EntryId(old_id(3).ms + 1, 0), old_id(3), 6),
        (old_id(0), START, 10),
        (old_id(8), old_id(7), 2),
        (EntryId(1, 0), START, 10),
        (EntryId(old_id(9).ms, 1), old_id(9), 0),
    ],
)
async def test_it_is_given_next_what_lies_at_the_position(
    log: EventLog, to: EntryId, behind: EntryId, lag: int
) -> None:
    await fill(log)

    assert await change(log).reset(to, old_id(5), WHAT) == behind

    now = await state(log)
    assert (now.last_delivered, now.lag, now.lost) == (behind, lag, 0)
    assert await Positions(log.server, log.keys, 0).of(f"group:{GROUP}") == behind
    given = await read(log, GROUP, 100)
    assert given == [old_id(number) for number in range(10 - lag, 10)]


async def test_moved_back_into_what_was_trimmed_it_has_lost_nothing(log: EventLog) -> None:
    await fill(log)
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", "=", str(old_id(4)))

    assert await change(log).reset(START, old_id(5), WHAT) == START

    history = GroupHistory(log.server, log.keys, 0, (GROUP, "first"))
    await history.look()
    assert await history.losses.total() == 0
    now = await state(log)
    assert (now.lag, now.lost) == (6, 0)


async def test_with_entries_pending_its_kept_position_does_not_pass_them(log: EventLog) -> None:
    await add_old(log, 10)
    await create(log, GROUP)
    await read(log, GROUP, 2)
    await Positions(log.server, log.keys, 0).advance(f"group:{GROUP}", START)

    await change(log).reset(END, old_id(1), WHAT, force=True)

    assert await Positions(log.server, log.keys, 0).of(f"group:{GROUP}") == START
    assert (await state(log)).pending == 2


async def test_while_somebody_reads_for_it_it_stays_unless_forced(log: EventLog) -> None:
    await fill(log)
    await read(log, GROUP, 1, "c-2")

    with pytest.raises(GroupActiveError, match=r"being read by c-2: stop them first"):
        await change(log).reset(START, old_id(6), WHAT)
    with pytest.raises(GroupActiveError):
        await change(log).remove(WHAT)
    assert (await state(log)).last_delivered == old_id(6)

    assert await change(log).reset(START, old_id(6), WHAT, force=True) == START


async def test_the_place_of_requeued_entries_does_not_count_as_somebody(log: EventLog) -> None:
    await fill(log)
    stream = log.keys.events(0)
    await log.server.client.call("XGROUP", "CREATECONSUMER", stream, GROUP, REQUEUER)

    assert await change(log).reset(START, old_id(5), WHAT) == START


async def test_one_that_has_gone_on_meanwhile_is_not_moved(log: EventLog) -> None:
    await fill(log)

    with pytest.raises(GroupMovedError, match=f"has gone on to {old_id(5)}"):
        await change(log).reset(START, old_id(4), WHAT)

    assert (await state(log)).last_delivered == old_id(5)
    assert await newest_operations(log, 0, GROUP, 10) == []


async def test_one_that_is_not_there_is_neither_moved_nor_removed(log: EventLog) -> None:
    assert await change(log).reset(START, START, WHAT) is None
    assert await change(log).remove(WHAT) is None
    await add_old(log, 1)
    assert await change(log).reset(START, START, WHAT) is None
    assert await change(log).remove(WHAT) is None
    assert await log.server.client.call("EXISTS", log.keys.operations(0)) == 0


async def test_a_move_is_kept_with_from_where_to_where(log: EventLog) -> None:
    await fill(log)
    await change(log).reset(old_id(3), old_id(5), WHAT)
    await change(log).reset(START, old_id(2), operation(GROUP, "groups reset", "again"))

    first, second = await newest_operations(log, 0, GROUP, 10)
    assert (first.before, first.after, first.reason) == (str(old_id(5)), str(old_id(2)), "a test")
    assert (second.before, second.after, second.reason) == (str(old_id(2)), "0-0", "again")
    assert await newest_operations(log, 0, GROUP, 1) == [second]
    assert await newest_operations(log, 0, "another", 10) == []


async def test_a_removed_group_leaves_nothing_but_its_dead_letters(log: EventLog) -> None:
    await add_old(log, 10)
    await create(log, GROUP)
    await read(log, GROUP, 4)
    client, keys = log.server.client, log.keys
    await client.call("HSET", keys.lost(0), GROUP, 3)
    await client.call("HSET", keys.requeues(0, GROUP), "1-1", "1 failed")
    await client.call("XADD", keys.dead(0, GROUP), "*", "stray", "field")
    await Positions(log.server, log.keys, 0).advance(f"group:{GROUP}", old_id(0))

    assert await change(log).remove(WHAT, force=True) == 4

    assert await client.call("XINFO GROUPS", keys.events(0)) == []
    assert await Positions(log.server, log.keys, 0).all() == {}
    assert await client.call("EXISTS", keys.lost(0), keys.requeues(0, GROUP)) == 0
    assert await client.call("XLEN", keys.dead(0, GROUP)) == 1
    [kept] = await newest_operations(log, 0, GROUP, 10)
    assert (kept.before, kept.after) == (f"{old_id(3)}, 4 pending", "removed")


async def test_a_lost_group_of_which_only_the_position_is_left_can_be_removed(
    log: EventLog,
) -> None:
    await Positions(log.server, log.keys, 0).advance(f"group:{GROUP}", old_id(0))

    assert await change(log).remove(WHAT) == 0

    assert await Positions(log.server, log.keys, 0).all() == {}
