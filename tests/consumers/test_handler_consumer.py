from uuid import uuid4

import anyio
from msgspec.structs import replace

from consumers.errors import TryLaterError, UnprocessableError
from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.handlers.handler_work import HandlerWork
from consumers.runtime.losses import Losses
from consumers.runtime.outcome import RetryPolicy
from events.entry.entry_id import END, START
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog, open_log
from events.log.positions import Positions, group_holder
from tests.consumers.support.handler_group import (
    LASTING,
    PROMPT,
    append,
    handler_consumer_of,
    handling_with,
    in_order,
    owner,
    steps,
    tries,
    until_owned,
)
from tests.support.running_consumer import (
    GROUP,
    Handling,
    add_raw,
    create_group,
    created,
    dead_letters,
    deliver,
    fill,
    members,
    pending,
    until_dead,
    until_settled,
)
from tests.support.waiting import wait_until


async def test_each_event_is_handled_once_and_those_of_an_endpoint_in_order(log: EventLog) -> None:
    await fill(log, endpoints=20)
    handled: list[RecordedEvent] = []
    running: set[object] = set()
    most = 0

    async def handler(recorded: RecordedEvent) -> None:
        nonlocal most
        assert recorded.endpoint_id not in running, "two of one endpoint at a time"
        running.add(recorded.endpoint_id)
        most = max(most, len(running))
        await anyio.sleep(0.002)
        handled.append(recorded)
        running.discard(recorded.endpoint_id)

    async with handling_with(handler_consumer_of(log, handler)):
        await until_settled(log)

    assert len(handled) == 120
    assert len({recorded.entry_id for recorded in handled}) == 120
    assert all(ids == sorted(ids) for ids in in_order(handled).values())
    assert 2 <= most <= LASTING.concurrency
    assert await tries(log) == {}
    assert await members(log) == []


async def test_an_endpoint_that_fails_holds_up_no_other_and_keeps_its_order(log: EventLog) -> None:
    failing, other = uuid4(), uuid4()
    first, *later = await append(log, *steps(failing, 3))
    others = await append(log, *steps(other, 5))
    handling = Handling()
    handling.failures[first] = OSError("not reachable")
    slow = replace(LASTING, policy=RetryPolicy(100, 0.05, 0.05))

    async with handling_with(handler_consumer_of(log, handling, settings=slow)):
        await handling.until_handled(*others)
        assert not {first, *later} & set(handling.handled)
        del handling.failures[first]
        await until_settled(log)

    assert [one for one in handling.handled if one not in others] == [first, *later]
    assert all(handling.calls[one] == 1 for one in (*later, *others))


async def test_an_entry_is_a_dead_letter_after_its_failures_and_its_lane_goes_on(
    log: EventLog,
) -> None:
    bad, good = await append(log, *steps(uuid4(), 2))
    handling = Handling()
    handling.failures[bad] = OSError("not reachable")

    async with handling_with(handler_consumer_of(log, handling)):
        await until_settled(log)

    [dead] = await dead_letters(log)
    assert (dead.original.entry_id, dead.reason, dead.deliveries) == (bad, "failed 3 times", 3)
    assert dead.error == "OSError: not reachable"
    assert dead.consumer == "first"
    assert handling.calls == {bad: 3, good: 1}
    assert await tries(log) == {}


async def test_failures_are_counted_on_across_a_restart(log: EventLog) -> None:
    [bad] = await append(log, created())
    handling = Handling()
    handling.failures[bad] = OSError("not reachable")
    patient = replace(LASTING, policy=RetryPolicy(3, 0.3, 0.3))

    async with handling_with(handler_consumer_of(log, handling, settings=patient)):
        await wait_until(lambda: handling.calls[bad] == 1, "the first try")

        async def noted() -> bool:
            return await tries(log) == {bad: (1, 1)}

        await wait_until(noted, "the failure is counted")
    assert await pending(log) == {bad: ("first", 1)}
    async with handling_with(handler_consumer_of(log, handling, name="second", settings=patient)):
        [dead] = await until_dead(log, 1)

    assert handling.calls[bad] == 3
    assert (dead.reason, dead.deliveries) == ("failed 3 times", 3)


async def test_a_restart_does_not_come_before_an_entrys_time(log: EventLog) -> None:
    endpoint_id = uuid4()
    bad, _ = await append(log, *steps(endpoint_id, 2))
    other = await append(log, created())
    handling = Handling()
    handling.failures[bad] = TryLaterError("later", 3_000.0)

    async with handling_with(handler_consumer_of(log, handling)):

        async def noted() -> bool:
            return await tries(log) == {bad: (1, 1)}

        await wait_until(noted, "the failure is counted")
    async with handling_with(handler_consumer_of(log, handling, name="second")):
        later = await append(log, created())
        await handling.until_handled(*other, *later)

    assert handling.calls[bad] == 1
    assert len(handling.calls) == 3


async def test_tries_of_a_deadline_are_cancelled_and_have_failed(log: EventLog) -> None:
    [slow] = await append(log, created())
    handling = Handling()

    async def hang(_: RecordedEvent) -> None:
        await anyio.sleep_forever()

    handling.before = hang
    short = replace(LASTING, deadline_s=0.05)
    async with handling_with(handler_consumer_of(log, handling, settings=short)):
        [dead] = await until_dead(log, 1)

    assert handling.calls == {slow: 3}
    assert dead.error == "TimeoutError: no end within 0.05 s"


async def test_what_no_try_can_help_is_dead_at_once_and_unknown_types_are_skipped(
    log: EventLog,
) -> None:
    hopeless = (await append(log, created()))[0]
    undecodable = await add_raw(log, b"name", b"endpoint_created", b"payload", b"{")
    nameless = await add_raw(log, b"payload", b"{}")
    await add_raw(log, b"name", b"of_the_future", b"payload", b"{}")
    handling = Handling()
    handling.failures[hopeless] = UnprocessableError("not wanted there", "http 404")

    async with handling_with(handler_consumer_of(log, handling)):
        await until_settled(log)

    found = {dead.original.entry_id: dead.reason for dead in await dead_letters(log)}
    assert found == {hopeless: "http 404", undecodable: "undecodable", nameless: "undecodable"}
    assert handling.calls == {hopeless: 1}


async def test_events_that_nobody_wants_are_skipped_unread(log: EventLog) -> None:
    await fill(log, endpoints=2)
    await add_raw(log, b"name", b"route_created", b"payload", b"{")
    wanted = frozenset({"endpoint_created"})
    handling = Handling()

    async with handling_with(handler_consumer_of(log, handling, wanted=wanted)):
        await until_settled(log)

    assert len(handling.handled) == 2
    assert await dead_letters(log) == []


async def test_no_more_entries_are_read_than_may_be_held(log: EventLog) -> None:
    ids = await append(log, *(created() for _ in range(30)))
    handling, go_on = Handling(), anyio.Event()

    async def hang(_: RecordedEvent) -> None:
        await go_on.wait()

    handling.before = hang
    few = replace(LASTING, held_max=7, concurrency=3)
    async with handling_with(handler_consumer_of(log, handling, settings=few)):
        await wait_until(lambda: len(handling.calls) == 3, "three tries run")

        async def held() -> bool:
            return sorted(await pending(log)) == ids[:7]

        await wait_until(held, "seven are held")
        assert len(handling.calls) == 3
        go_on.set()
        await until_settled(log)
    assert sorted(handling.handled) == ids


async def test_a_new_owner_takes_over_all_that_is_pending_in_order_and_then_what_is_new(
    log: EventLog,
) -> None:
    await create_group(log)
    ids = await append(log, *steps(uuid4(), 9))
    for name in ("one", "another", "one"):
        await deliver(log, name, 2)
    handling = Handling()
    tight = replace(LASTING, held_max=4)

    async with handling_with(handler_consumer_of(log, handling, settings=tight)):
        await until_settled(log)

    assert handling.handled == ids
    assert set(handling.calls.values()) == {1}


async def test_entries_that_others_read_past_the_owner_are_taken_over_too(log: EventLog) -> None:
    handling = Handling()
    [first] = await append(log, created())
    async with handling_with(handler_consumer_of(log, handling, settings=PROMPT)):
        await handling.until_handled(first)
        for _ in range(20):
            stray = await append(log, created())
            await deliver(log, "a person at a keyboard", 1)
            await handling.until_handled(*stray)
    assert set(handling.calls.values()) == {1}


async def test_an_entry_that_was_deleted_while_pending_is_a_loss(log: EventLog) -> None:
    await create_group(log)
    gone, left = await append(log, created(), created())
    await deliver(log, "one", 2)
    await log.server.client.call("XDEL", log.keys.events(0), str(gone))
    handling = Handling()

    async with handling_with(handler_consumer_of(log, handling)):
        await until_settled(log)

    assert handling.handled == [left]
    [loss] = await Losses(log.server, log.keys, 0, GROUP).read()
    assert (loss.why, loss.entries, loss.first) == ("deleted", 1, gone)


async def test_a_new_group_begins_behind_what_is_there_unless_it_is_told_otherwise(
    log: EventLog,
) -> None:
    await append(log, created())
    handling = Handling()
    async with handling_with(handler_consumer_of(log, handling, start=END)):
        await until_owned(log, "first")
        new = await append(log, created())
        await handling.until_handled(*new)
    assert handling.handled == new


async def test_how_far_a_group_has_come_is_kept_in_the_step_that_ends_an_entry(
    log: EventLog,
) -> None:
    handling, go_on = Handling(), anyio.Event()
    positions = Positions(log.server, log.keys, 0)
    first, second, bad = await append(log, created(), created(), created())

    async def hold_the_second(recorded: RecordedEvent) -> None:
        if recorded.entry_id == second:
            await go_on.wait()
        elif recorded.entry_id != first:
            raise UnprocessableError("no")

    handling.before = hold_the_second
    async with handling_with(handler_consumer_of(log, handling, settings=PROMPT)):
        await until_dead(log, 1)

        async def only_the_second_is_pending() -> bool:
            return list(await pending(log)) == [second]

        await wait_until(only_the_second_is_pending, "the others have ended")
        assert await positions.of(group_holder(GROUP)) == second.before()
        go_on.set()
        await until_settled(log)
        assert await positions.of(group_holder(GROUP)) == bad
        [worse] = await append(log, created())
        await until_dead(log, 2)
        assert await positions.of(group_holder(GROUP)) == worse


async def test_a_lost_group_goes_on_from_where_it_stood(log: EventLog) -> None:
    handling = Handling()
    consumer = handler_consumer_of(log, handling, start=END, settings=PROMPT)
    async with handling_with(consumer):
        await until_owned(log, "first")
        before = await append(log, created(), created())
        await handling.until_handled(*before)
        await until_settled(log)
        await log.server.client.call("XGROUP", "DESTROY", log.keys.events(0), GROUP)
        after = await append(log, created(), created())
        await handling.until_handled(*after)

    # Each is of an endpoint of its own, so that they end in any order; but each once.
    assert sorted(handling.handled) == [*before, *after]


async def test_what_is_held_stays_fresh_while_a_slow_try_runs(log: EventLog) -> None:
    first, second = await append(log, *steps(uuid4(), 2))
    handling, go_on = Handling(), anyio.Event()

    async def hang(_: RecordedEvent) -> None:
        await go_on.wait()

    handling.before = hang
    waiting = handler_consumer_of(log, handling, name="second", settings=PROMPT)
    async with handling_with(handler_consumer_of(log, handling, settings=PROMPT)):
        await wait_until(lambda: handling.calls[first] == 1, "the first try")
        async with handling_with(waiting):
            # Three times as long as the lease, with one who waits to take over.
            with anyio.move_on_after(3 * PROMPT.lease_ms / 1_000):
                await anyio.sleep_forever()
            assert await pending(log) == {first: ("first", 1), second: ("first", 1)}
            idle = await log.server.client.call(
                "XPENDING", log.keys.events(0), GROUP, "IDLE", PROMPT.lease_ms, "-", "+", 10
            )
            assert idle == []
            go_on.set()
            await until_settled(log)
    assert handling.calls == {first: 1, second: 1}


async def test_a_hard_stop_takes_back_the_tries_that_it_cuts_off_and_hands_over(
    log: EventLog,
) -> None:
    [entry_id] = await append(log, created())
    handling = Handling()

    async def hang(_: RecordedEvent) -> None:
        await anyio.sleep_forever()

    handling.before = hang
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(handler_consumer_of(log, handling).run)
        await wait_until(lambda: bool(handling.calls), "the first try")
        assert await tries(log) == {entry_id: (1, 0)}
        tasks.cancel_scope.cancel()

    assert await tries(log) == {entry_id: (0, 0)}
    assert await owner(log) == ""
    handling.before = None
    async with handling_with(handler_consumer_of(log, handling, name="second")):
        await until_settled(log)
    assert handling.handled == [entry_id]


async def test_two_processes_share_the_partitions_of_a_log(redis_url: str, namespace: str) -> None:
    handled: list[RecordedEvent] = []

    async def handler(recorded: RecordedEvent) -> None:
        handled.append(recorded)

    async with open_log(redis_url, namespace=namespace, partitions=3) as log:
        work = HandlerWork(handler, None, START)
        consumers = [
            HandlerConsumer(log, partition, (GROUP, name), work, LASTING)
            for name in ("first", "second")
            for partition in range(3)
        ]
        async with handling_with(*consumers):
            await log.append(*(event for _ in range(10) for event in steps(uuid4(), 5)))
            await wait_until(lambda: len(handled) >= 50, "all are handled")

    assert len({(one.partition, one.entry_id) for one in handled}) == len(handled) == 50
    assert all(ids == sorted(ids) for ids in in_order(handled).values())
