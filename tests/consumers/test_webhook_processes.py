"""Processes of the group webhook, killed and stopped in their tracks; the receiver counts.

By its name `first` has the partition while it lives, and `heir` stands by.
"""

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from time import monotonic
from uuid import UUID, uuid4

import anyio
import pytest
from aiohttp import web

from consumers.membership.partition_spread import spread
from consumers.processes.registry import read_processes
from consumers.webhook.webhook_group import WEBHOOK
from events.catalogue.model_service import ModelServiceStatusEvent
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.server.server import now_of
from tests.consumers.support.handler_group import owner, tries, until_owned
from tests.consumers.support.receiver import Call, Receiver
from tests.consumers.support.webhook_process import LEASE_MS, WebhookProcesses, webhook_processes
from tests.support.running_consumer import created, dead_letters, members, pending, until_settled
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def processes(
    log: EventLog, redis_url: str, receiver: Receiver
) -> AsyncIterator[WebhookProcesses]:
    async with webhook_processes(log, redis_url, receiver) as opened:
        yield opened


def changes(endpoint_id: UUID, count: int) -> list[ModelServiceStatusEvent]:
    return [
        ModelServiceStatusEvent(
            endpoint_id=endpoint_id, route_id=uuid4(), new_status="unhealthy", reason=f"{number}"
        )
        for number in range(count)
    ]


async def append(log: EventLog, endpoints: list[UUID], count: int) -> list[EntryId]:
    """Append so many changes of each endpoint, each in turn for all of them."""
    in_turn = zip(*(changes(one, count) for one in endpoints), strict=True)
    return list((await log.append(*(event for turn in in_turn for event in turn))).entry_ids)


def first_answers(receiver: Receiver) -> dict[UUID, list[EntryId]]:
    """Return for each endpoint its entries in the order in which each was first answered."""
    endpoint_of = {call.entry_id: call.endpoint_id for call in receiver.calls}
    found: dict[UUID, list[EntryId]] = {}
    for entry_id in dict.fromkeys(receiver.answered):
        found.setdefault(endpoint_of[entry_id], []).append(entry_id)
    return found


async def test_a_soft_stop_finishes_its_requests_and_hands_over_at_once(
    log: EventLog, processes: WebhookProcesses, receiver: Receiver
) -> None:
    first = await processes.start("first", settings={"lease_ms": 60_000})
    await processes.start("heir", owns=False, settings={"lease_ms": 60_000})
    go_on = anyio.Event()

    async def answering(_: Call) -> None:
        await go_on.wait()

    receiver.answering = answering
    ids = await append(log, [uuid4(), uuid4()], 3)
    await receiver.until_called(2)
    first.process.send_signal(signal.SIGTERM)
    with anyio.move_on_after(0.3):
        await first.process.wait()
    assert await owner(log, WEBHOOK) == "first"
    began_at = monotonic()
    go_on.set()
    await until_owned(log, "heir", WEBHOOK)
    assert monotonic() - began_at < 30.0  # against 60 s of the lease
    await until_settled(log, WEBHOOK)

    assert await first.process.wait() == 0
    assert sorted(receiver.answered) == ids
    assert len(receiver.calls) == 6


async def test_an_idle_owner_hands_over_at_once(
    log: EventLog, processes: WebhookProcesses, receiver: Receiver
) -> None:
    first = await processes.start("first", settings={"lease_ms": 60_000, "block_ms": 60_000})
    await processes.start("heir", owns=False, settings={"lease_ms": 60_000})
    began_at = monotonic()
    first.process.send_signal(signal.SIGTERM)
    await until_owned(log, "heir", WEBHOOK)

    assert monotonic() - began_at < 30.0  # against 60 s of the lease
    assert await first.process.wait() == 0
    assert await members(log, WEBHOOK) == ["heir"]
    [entry_id] = (await log.append(created())).entry_ids
    await until_settled(log, WEBHOOK)
    assert receiver.answered == [entry_id]


async def test_a_killed_owner_is_followed_when_its_lease_is_over_and_the_order_is_kept(
    log: EventLog, processes: WebhookProcesses, receiver: Receiver
) -> None:
    first = await processes.start("first")
    await processes.start("heir", owns=False)
    endpoints = [uuid4() for _ in range(4)]
    hang = True

    async def answering(_: Call) -> None:
        if hang:
            await anyio.sleep_forever()

    receiver.answering = answering
    ids = await append(log, endpoints, 5)
    await receiver.until_called(4)
    await first.kill()
    hang = False
    began_at = monotonic()
    await until_settled(log, WEBHOOK)

    assert monotonic() - began_at < LEASE_MS / 1_000 + 30.0
    assert Counter(receiver.answered) == Counter(ids)
    # Those that were under way came again, nothing else did.
    assert sorted(receiver.times(one) for one in ids) == [1] * 16 + [2] * 4
    assert all(found == sorted(found) for found in first_answers(receiver).values())
    assert await dead_letters(log, WEBHOOK) == []
    assert await tries(log, WEBHOOK) == {}


async def test_a_supervisor_frees_at_once_what_a_killed_process_had(
    log: EventLog, processes: WebhookProcesses, receiver: Receiver
) -> None:
    supervisor = await processes.supervise(2, {"lease_ms": 60_000})

    pids: dict[str, int] = {}

    async def is_owned() -> bool:
        """Whether both are there, and the one that is to have the partition has it."""
        now_s = (await now_of(log.server)).timestamp()
        known = await read_processes(log.server.client.call, log.keys, now_s)
        pids.update({one.name: one.facts.pid for one in known})
        return len(pids) == 2 and await owner(log, WEBHOOK) == spread(1, pids.keys())[0]

    await wait_until(is_owned, "one of the two owns the partition", timeout_s=60.0)
    os.kill(pids[await owner(log, WEBHOOK)], signal.SIGKILL)
    [entry_id] = (await log.append(created())).entry_ids
    await wait_until(
        lambda: receiver.answered == [entry_id], "handled before the lease ends", timeout_s=40.0
    )
    assert await supervisor.stop() == 0


async def test_an_owner_that_stood_still_is_fenced_when_it_goes_on(
    log: EventLog, processes: WebhookProcesses, receiver: Receiver
) -> None:
    first = await processes.start("first")
    heir = await processes.start("heir", owns=False)
    endpoints = [uuid4() for _ in range(4)]
    go_on = anyio.Event()
    late: list[EntryId] = []

    async def answering(call: Call) -> None:
        if len(receiver.calls) <= 4:
            late.append(call.entry_id)
            await go_on.wait()

    receiver.answering = answering
    ids = await append(log, endpoints, 5)
    await receiver.until_called(4)
    first.freeze()
    await until_owned(log, "heir", WEBHOOK)
    await until_settled(log, WEBHOOK)
    assert Counter(receiver.answered) == Counter(ids)
    # The answers to the old requests arrive at a process that owns nothing any more.
    go_on.set()
    first.process.send_signal(signal.SIGCONT)
    later = await append(log, endpoints, 2)
    await wait_until(lambda: set(later) <= set(receiver.answered), "what came later", 60.0)
    await until_settled(log, WEBHOOK)

    await until_owned(log, "first", WEBHOOK)
    assert sorted(receiver.times(one) for one in [*ids, *later]) == [1] * 24 + [2] * 4
    assert {one for one in ids if receiver.times(one) == 2} == set(late)
    assert all(found == sorted(found) for found in first_answers(receiver).values())
    assert await pending(log, WEBHOOK) == {}
    assert await heir.stop() == 0
    assert await first.stop() == 0


async def test_an_entry_that_kills_its_process_each_time_ends_as_a_dead_letter(
    log: EventLog, processes: WebhookProcesses, receiver: Receiver
) -> None:
    killer, *others = (uuid4() for _ in range(6))
    settings = {"concurrency": 1, "unseen_max": 3, "lease_ms": 1_000}
    running = await processes.start("life-0", settings=settings)

    async def answering(call: Call) -> web.Response | None:
        if call.endpoint_id != killer:
            return None
        await running.kill()
        return web.Response(status=500)

    receiver.answering = answering
    [bad] = await append(log, [killer], 1)
    good = await append(log, others, 2)
    for life in range(1, 4):
        await wait_until(lambda: receiver.times(bad) == life, f"kill {life}", 60.0)  # noqa: B023
        await running.process.wait()
        running = await processes.spawn(f"life-{life}", settings)
    await until_settled(log, WEBHOOK)

    [dead] = await dead_letters(log, WEBHOOK)
    assert dead.original.entry_id == bad
    assert (dead.reason, dead.deliveries) == ("delivered 3 times without an outcome", 3)
    assert receiver.times(bad) == 3
    assert [receiver.times(one) for one in good] == [1] * 10

    async def alone() -> bool:
        return await members(log, WEBHOOK) == ["life-3"]

    await wait_until(alone, "the names of the dead are removed", 60.0)
    assert await running.stop() == 0


async def test_what_ran_beside_a_killer_is_tried_alone_and_none_of_it_dies(
    log: EventLog, processes: WebhookProcesses, receiver: Receiver
) -> None:
    killer, *others = (uuid4() for _ in range(8))
    settings = {"unseen_max": 2, "lease_ms": 1_000}
    running = await processes.start("life-0", settings=settings)
    kills = 0

    async def answering(call: Call) -> web.Response | None:
        nonlocal kills
        if call.endpoint_id == killer:
            kills += 1
            await running.kill()
            return web.Response(status=500)
        if not kills:
            await anyio.sleep_forever()
        return None

    receiver.answering = answering
    good = await append(log, others, 1)
    await receiver.until_called(len(good))
    [bad] = await append(log, [killer], 1)
    for life in (1, 2):
        await wait_until(lambda: kills == life, f"kill {life}", 60.0)  # noqa: B023
        await running.process.wait()
        running = await processes.spawn(f"life-{life}", settings)
    await until_settled(log, WEBHOOK)

    [dead] = await dead_letters(log, WEBHOOK)
    assert dead.original.entry_id == bad
    assert sorted(receiver.answered) == good
    assert kills == 2
