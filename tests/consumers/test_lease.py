from time import monotonic

import anyio
import pytest

from consumers.errors import LeaseLostError
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from tests.consumers.support.handler_group import lease_of, owner
from tests.support.running_consumer import GROUP, create_group, created, deliver, pending
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
async def group(log: EventLog) -> None:
    await create_group(log)


async def token(log: EventLog) -> int:
    fence = await log.server.client.execute_command("GET", log.keys.fence(0, GROUP))
    return int(fence.split()[0])


async def test_one_consumer_owns_a_partition_at_a_time(log: EventLog) -> None:
    first, second = lease_of(log, "first"), lease_of(log, "second")

    await first.take()
    with anyio.move_on_after(0.3) as patience:
        await second.take()

    assert patience.cancelled_caught
    assert second.owner == ""
    assert await owner(log) == "first"


async def test_a_handover_wakes_those_who_wait(log: EventLog) -> None:
    first, second = lease_of(log, "first"), lease_of(log, "second")
    await first.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second.take)
        await until_waiting(log, 1)
        handed_over_at = monotonic()
        assert await first.hand_over()
    assert monotonic() - handed_over_at < 10.0  # against 60 s of the lease
    assert await owner(log) == "second"


async def until_waiting(log: EventLog, count: int) -> None:
    async def waiting() -> bool:
        clients = await log.server.client.execute_command("CLIENT LIST")
        blocked = [one for one in clients if one["cmd"] == "xread" and "b" in one["flags"]]
        return len(blocked) >= count

    await wait_until(waiting, f"{count} wait for the lease")


async def test_a_wait_that_is_cut_off_takes_no_handover_with_it(log: EventLog) -> None:
    first, second, third = (lease_of(log, name) for name in ("first", "second", "third"))
    await first.take()
    async with anyio.create_task_group() as tasks:
        cut_off = anyio.CancelScope()

        async def wait_in_vain() -> None:
            with cut_off:
                await second.take()

        tasks.start_soon(wait_in_vain)
        await until_waiting(log, 1)
        tasks.start_soon(third.take)
        await until_waiting(log, 2)
        began_at = monotonic()
        cut_off.cancel()
        await first.hand_over()
    assert monotonic() - began_at < 10.0  # against 60 s of the lease
    assert await owner(log) == "third"


async def test_a_lease_that_is_not_renewed_goes_to_who_waits(log: EventLog) -> None:
    first, second = lease_of(log, "first", 400), lease_of(log, "second", 400)
    began_at = monotonic()
    await first.take()

    with anyio.fail_after(10):
        await second.take()

    assert monotonic() - began_at > 0.39
    assert await owner(log) == "second"


async def test_the_token_rises_with_each_owner_and_outlives_them(log: EventLog) -> None:
    found = []
    for name in ("first", "second", "first"):
        lease = lease_of(log, name)
        await lease.take()
        found.append(await token(log))
        await lease.hand_over()
    assert found == [1, 2, 3]


async def test_a_former_owner_can_neither_renew_nor_hand_over(log: EventLog) -> None:
    first, second = lease_of(log, "first", 100), lease_of(log, "second")
    await first.take()
    with anyio.fail_after(10):
        await second.take()

    with pytest.raises(LeaseLostError, match="1 first"):
        await first.renew([])
    assert not await first.hand_over()
    assert await owner(log) == "second"


async def test_an_owner_nobody_followed_goes_on_after_its_lease_was_over(log: EventLog) -> None:
    first = lease_of(log, "first", 100)
    await first.take()

    async def is_over() -> bool:
        return await owner(log) == ""

    await wait_until(is_over, "the lease is over")
    assert await first.renew([]) == (0, 0)
    assert await owner(log) == "first"
    assert await token(log) == 1


async def test_two_consumers_of_one_name_do_not_share_a_lease(log: EventLog) -> None:
    first, twin = lease_of(log, "first"), lease_of(log, "first")
    await first.take()

    assert not await twin.hand_over()
    with anyio.move_on_after(0.2) as patience:
        await twin.take()
    assert patience.cancelled_caught


async def test_taking_again_after_a_lost_reply_gives_the_same_ownership(log: EventLog) -> None:
    first = lease_of(log, "first")
    await first.take()
    before = first.owner

    with anyio.fail_after(5):
        await first.take()

    assert first.owner == before


async def test_renewing_keeps_what_is_held_fresh_and_counts_no_delivery(log: EventLog) -> None:
    held, other = (await log.append(created(), created())).entry_ids
    first = lease_of(log, "first")
    await first.take()
    await deliver(log, "first", 1)
    await deliver(log, "somebody", 1)
    client, stream = log.server.client, log.keys.events(0)
    for name, entry_id in (("first", held), ("somebody", other)):
        await client.call(
            *("XCLAIM", stream, GROUP, name, 0, str(entry_id)),
            *("IDLE", 3_600_000, "RETRYCOUNT", 1, "JUSTID"),
        )

    pending_and_others = await first.renew([held, EntryId(1, 1)])

    assert pending_and_others == (2, 1)
    assert await pending(log) == {held: ("first", 1), other: ("somebody", 1)}
    idle = await client.execute_command("XPENDING", stream, GROUP, "IDLE", 60_000, "-", "+", 10)
    assert [EntryId.parse(one[0]) for one in idle] == [other]
