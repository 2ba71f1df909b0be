"""What one endpoint's events cost the others of a handler group, and what waits aside."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.handlers.handler_settings import HandlerSettings
from consumers.runtime.outcome import RetryPolicy
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog
from tests.consumers.support.handler_group import (
    LASTING,
    PROMPT,
    handler_consumer_of,
    handling_with,
    in_order,
    steps,
    tries,
)
from tests.support.running_consumer import GROUP, add_raw, is_settled, until_settled
from tests.support.waiting import wait_until

PATIENT = replace(LASTING, policy=RetryPolicy(1_000, 3_600.0, 3_600.0), deadline_s=3_600.0)
"""Its next try of what failed, or the end of what hangs, is further off than any test lasts."""

FLOOD = 3 * PATIENT.held_max


class Receiver:
    """Fails, or hangs, for the endpoints *broken*, and notes what it was given of all others."""

    def __init__(self, *broken: UUID, hangs: bool = False) -> None:
        self.broken = set(broken)
        self.handled: list[RecordedEvent] = []
        self._hangs = hangs

    async def __call__(self, recorded: RecordedEvent) -> None:
        if recorded.endpoint_id in self.broken:
            if self._hangs:
                await anyio.sleep_forever()
            raise OSError("500 Internal Server Error")
        self.handled.append(recorded)

    async def until_handled(self, ids: Sequence[EntryId]) -> None:
        def are_handled() -> bool:
            return {one.entry_id for one in self.handled} >= set(ids)

        await wait_until(are_handled, f"{len(ids)} entries are handled")


async def append(log: EventLog, endpoint_id: UUID, count: int) -> list[EntryId]:
    found: list[EntryId] = []
    for at in range(0, count, 1_000):
        found += (await log.append(*steps(endpoint_id, min(1_000, count - at)))).entry_ids
    return found


async def in_hand(log: EventLog) -> int:
    return int(await log.server.client.execute_command("SCARD", log.keys.hand(0, GROUP)))


async def aside(log: EventLog) -> set[str]:
    fields = await log.server.client.execute_command("HKEYS", log.keys.aside(0, GROUP))
    return {field.decode() for field in fields} - {"sorted"}


@pytest.mark.parametrize("hangs", [False, True], ids=["fails", "is slow"])
async def test_one_endpoints_backlog_delays_no_other_also_after_a_restart(
    log: EventLog, *, hangs: bool
) -> None:
    broken = uuid4()
    receiver = Receiver(broken, hangs=hangs)
    flood = await append(log, broken, FLOOD)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(handler_consumer_of(log, receiver, settings=PATIENT).run)
        await receiver.until_handled(await append(log, uuid4(), 5))

        async def has_its_share() -> bool:  # what was handled is in hand until that is noted
            return await in_hand(log) <= PATIENT.held_max // 20

        await wait_until(has_its_share, "only a share is in hand")
        tasks.cancel_scope.cancel()
    async with anyio.create_task_group() as tasks:
        second = handler_consumer_of(log, receiver, name="second", settings=PATIENT)
        tasks.start_soon(second.run)
        await receiver.until_handled(await append(log, uuid4(), 5))
        tasks.cancel_scope.cancel()
    assert len(receiver.handled) == 10
    assert await aside(log) == {str(broken)}

    receiver.broken.clear()
    await log.server.client.call("DEL", log.keys.tries(0, GROUP))  # else an hour has to pass
    async with handling_with(handler_consumer_of(log, receiver, name="third")):
        newer = await append(log, broken, 3)

        async def ended() -> bool:
            return await is_settled(log, GROUP)

        await wait_until(ended, "the backlog of one endpoint ended", timeout_s=90.0)
    assert in_order(receiver.handled)[broken] == [*flood, *newer]
    assert (await in_hand(log), await aside(log)) == (0, set())


async def test_endpoints_that_fail_leave_a_place_for_others_however_many_they_are(
    log: EventLog,
) -> None:
    broken = [uuid4() for _ in range(30)]
    receiver = Receiver(*broken)
    few = replace(PATIENT, held_max=10)
    for _ in range(3):
        for endpoint_id in broken:
            await append(log, endpoint_id, 1)

    async with handling_with(handler_consumer_of(log, receiver, settings=few)):
        await receiver.until_handled(await append(log, uuid4(), 40))
        assert await in_hand(log) <= few.held_max

    receiver.broken.clear()
    await log.server.client.call("DEL", log.keys.tries(0, GROUP))
    async with handling_with(handler_consumer_of(log, receiver, settings=few)):
        await until_settled(log)
    assert len(receiver.handled) == 40 + 90
    assert all(ids == sorted(ids) for ids in in_order(receiver.handled).values())
    assert await tries(log) == {}


async def test_an_endpoint_that_is_put_aside_is_tried_again_when_it_is_due(log: EventLog) -> None:
    broken = [uuid4() for _ in range(8)]
    receiver = Receiver(*broken)
    soon = replace(LASTING, held_max=4, policy=RetryPolicy(1_000, 1.5, 2.0))
    for endpoint_id in broken:
        await append(log, endpoint_id, 2)
    async with handling_with(handler_consumer_of(log, receiver, settings=soon)):
        await receiver.until_handled(await append(log, uuid4(), 2))
        receiver.broken.clear()
        await until_settled(log)
    assert all(len(ids) == 2 and ids == sorted(ids) for ids in in_order(receiver.handled).values())


async def test_entries_that_cannot_be_read_have_one_share_too(log: EventLog) -> None:
    receiver = Receiver()
    for _ in range(60):
        await add_raw(log, b"name", b"endpoint_created", b"payload", b"{")
    ids = await append(log, uuid4(), 1)
    async with handling_with(handler_consumer_of(log, receiver, settings=PATIENT)):
        await receiver.until_handled(ids)
        await until_settled(log)
    assert await log.server.client.call("XLEN", log.keys.dead(0, GROUP)) == 60


async def test_an_entry_pending_with_its_owner_but_not_in_hand_is_found(log: EventLog) -> None:
    receiver = Receiver()
    ids = await append(log, uuid4(), 2)
    async with handling_with(handler_consumer_of(log, receiver, settings=PROMPT)):
        await receiver.until_handled(ids)
        await until_settled(log)
        for _ in range(3):
            await log.server.client.call(
                *("XCLAIM", log.keys.events(0), GROUP, "first", 0, str(ids[0]), "FORCE", "JUSTID")
            )
            await until_settled(log)
    assert [one.entry_id for one in receiver.handled] == [*ids, *[ids[0]] * 3]


histories = st.lists(
    st.tuples(st.integers(0, 4), st.integers(1, 12), st.booleans()), min_size=1, max_size=8
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories, held_max=st.integers(1, 60), tries_max=st.integers(1, 4))
async def test_any_history_is_handled_in_order_whatever_fails_and_whoever_restarts(
    log: EventLog, history: list[tuple[int, int, bool]], held_max: int, tries_max: int
) -> None:
    endpoints = [uuid4() for _ in range(5)]
    begun: list[RecordedEvent] = []

    async def handler(recorded: RecordedEvent) -> None:
        begun.append(recorded)
        if recorded.entry_id.seq % 5 == 1:
            raise OSError("500 Internal Server Error")

    about: HandlerSettings = replace(
        LASTING, held_max=held_max, policy=RetryPolicy(tries_max, 0.001, 0.002)
    )

    def consumer() -> HandlerConsumer:
        return handler_consumer_of(log, handler, name=f"c{uuid4().hex[:4]}", settings=about)

    appended: dict[UUID, list[EntryId]] = {}
    running = consumer()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(running.run)
        for which, count, is_restarted in history:
            ids = await append(log, endpoints[which], count)
            appended.setdefault(endpoints[which], []).extend(ids)
            if is_restarted:
                await running.stop()
                running = consumer()
                tasks.start_soon(running.run)
        await until_settled(log)
        await running.stop()
    for endpoint_id, ids in appended.items():
        seen = [one.entry_id for one in begun if one.endpoint_id == endpoint_id]
        assert list(dict.fromkeys(seen)) == ids
        assert seen == sorted(seen)


async def test_what_another_program_wrote_among_the_hands_loses_nothing(log: EventLog) -> None:
    broken = uuid4()
    receiver = Receiver(broken)
    flood = await append(log, broken, 200)
    async with handling_with(handler_consumer_of(log, receiver, settings=PATIENT)):
        await receiver.until_handled(await append(log, uuid4(), 1))
    receiver.broken.clear()
    call = log.server.client.call
    await call("SADD", log.keys.hand(0, GROUP), "no id")
    await call("HSET", log.keys.aside(0, GROUP), "no endpoint", "no id", "sorted", b"\xff")
    await call("DEL", log.keys.tries(0, GROUP))
    async with handling_with(handler_consumer_of(log, receiver)):
        await until_settled(log)
    assert in_order(receiver.handled)[broken] == flood
