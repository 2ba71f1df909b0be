from collections.abc import Awaitable, Callable

import anyio
import pytest

from consumers.errors import LeaseLostError
from consumers.handlers.entry_in_hand import EntryInHand
from consumers.handlers.hands import Hands
from consumers.handlers.lease import Lease
from consumers.handlers.owned_entries import OwnedEntries
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


STEPS: dict[str, Step] = {
    "read": lambda owned, _: owned.read(10),
    "pending": lambda owned, _: owned.pending([("-", "+")], 10),
    "write_down": lambda owned, _: owned.write_down(Hands(10), START),
    "note": lambda owned, held: owned.note(held),
    "acknowledge": lambda owned, held: owned.acknowledge([held.entry_id]),
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
    assert await owned.note(held)
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
    await owned.note(held)
    await owned.acknowledge([held.entry_id])

    assert not await owned.note(held)
    assert not await owned.give_up(held, DeadLetter("no reason"))
    assert await tries(log) == {}
    assert await dead_letters(log) == []


async def test_tries_that_are_noted_together_are_each_answered_for_themselves(
    log: EventLog,
) -> None:
    await create_group(log)
    await log.append(*(created() for _ in range(4)))
    lease = lease_of(log, "first")
    owned = owned_by(log, lease)
    await lease.take()
    held = await owned.read(4)
    await owned.acknowledge([held[2].entry_id])
    noted: dict[int, bool] = {}

    async def note(place: int) -> None:
        held[place].begun = place + 1
        noted[place] = await owned.note(held[place])

    async with anyio.create_task_group() as tasks:
        for place in range(4):
            tasks.start_soon(note, place)

    assert noted == {0: True, 1: True, 2: False, 3: True}
    expected = {one.entry_id: (one.begun, 0) for one in held if one is not held[2]}
    assert await tries(log) == expected
