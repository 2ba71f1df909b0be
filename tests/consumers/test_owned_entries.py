from collections.abc import Awaitable, Callable

import pytest

from consumers.errors import LeaseLostError
from consumers.handlers.entry_in_hand import EntryInHand
from consumers.handlers.hands import Hands
from consumers.handlers.lease import Lease
from consumers.handlers.owned_entries import NotedTry, OwnedEntries
from consumers.runtime.group_history import GroupHistory
from consumers.runtime.outcome import DeadLetter
from events.entry.entry_id import START
from events.log.log import EventLog
from tests.consumers.support.handler_group import lease_of, tries
from tests.support.running_consumer import GROUP, create_group, created, dead_letters, pending

Step = Callable[[OwnedEntries, EntryInHand], Awaitable[object]]


def owned_by(log: EventLog, lease: Lease) -> OwnedEntries:
    history = GroupHistory(log.server, log.keys, 0, (GROUP, "first"))
    return OwnedEntries((log.server, log.keys, 0), (GROUP, "first"), lease, history)


def noted(held: EntryInHand) -> NotedTry:
    return NotedTry(held.entry_id, held.begun, held.failures)


STEPS: dict[str, Step] = {
    "read": lambda owned, _: owned.read(10),
    "pending": lambda owned, _: owned.pending([("-", "+")], 10),
    "write_down": lambda owned, _: owned.write_down(Hands(10), START),
    "try": lambda owned, held: owned.settle([], [noted(held)]),
    "end": lambda owned, held: owned.settle([held.entry_id]),
    "give_up": lambda owned, held: owned.give_up(held, DeadLetter("no reason")),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_a_former_owner_is_refused_and_changes_nothing(log: EventLog, step: Step) -> None:
    await create_group(log)
    await log.append(created(), created())
    first, second = (lease_of(log, name) for name in ("first", "second"))
    owned = owned_by(log, first)
    await first.take()
    [held] = await owned.read(1)
    held.begun = 1
    assert await owned.settle([], [noted(held)]) == set()
    await log.server.client.call("DEL", log.keys.lease(0, GROUP))
    await second.take()

    held.begun = 2
    with pytest.raises(LeaseLostError, match="1 first"):
        await step(owned, held)

    assert await pending(log) == {held.entry_id: ("first", 1)}
    assert await tries(log) == {held.entry_id: (1, 0)}
    assert await dead_letters(log) == []


async def test_what_is_not_pending_any_more_is_neither_tried_nor_given_up(log: EventLog) -> None:
    await create_group(log)
    await log.append(created())
    lease = lease_of(log, "first")
    owned = owned_by(log, lease)
    await lease.take()
    [held] = await owned.read(1)
    held.begun = 1
    await owned.settle([], [noted(held)])
    await owned.settle([held.entry_id])

    assert await owned.settle([], [noted(held)]) == {held.entry_id}
    assert not await owned.give_up(held, DeadLetter("no reason"))
    assert await tries(log) == {}
    assert await dead_letters(log) == []


async def test_a_round_ends_some_and_says_of_each_other_whether_it_is_pending(
    log: EventLog,
) -> None:
    await create_group(log)
    await log.append(*(created() for _ in range(5)))
    lease = lease_of(log, "first")
    owned = owned_by(log, lease)
    await lease.take()
    held = await owned.read(5)
    ids = [one.entry_id for one in held]
    await owned.settle([ids[2]])
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(ids[1]))

    tried = [NotedTry(one, place + 1, place % 2) for place, one in enumerate(ids[:4])]
    assert await owned.settle([ids[4]], tried[::-1]) == {ids[2]}

    assert await tries(log) == {ids[0]: (1, 0), ids[1]: (2, 1), ids[3]: (4, 1)}
    # Of the trimmed entry a claim would be its end: it stays pending, and is tried from memory.
    assert await pending(log) == {ids[0]: ("first", 1), ids[1]: ("first", 2), ids[3]: ("first", 4)}
