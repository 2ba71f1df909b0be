"""The requeue: an entry is tried again by its group alone, as the old event that it is."""

import time
from uuid import uuid4

import anyio
import pytest

from consumers.errors import UnprocessableError
from consumers.groups.details import read_members
from consumers.groups.operations import newest_operations, operation
from consumers.groups.requeue import Requeue, Requeued
from consumers.runtime.group import Group
from consumers.runtime.projector import Projector
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteRecord,
    RouteTrafficRatioUpdatedEvent,
)
from events.entry.entry_id import EntryId
from events.errors import NoGroupError
from events.log.log import EventLog
from events.log.positions import Positions
from events.retention.retention import RetentionRule
from events.retention.trim import Trim
from events.streams.stream_group import REQUEUER
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.given_up import give_up
from tests.consumers.support.handler_group import PROMPT, handler_consumer_of, handling_with
from tests.events.support.old_entries import add_old, old_id, there
from tests.support.running_consumer import (
    GROUP,
    UNCLAIMED,
    Handling,
    add_raw,
    consumer_of,
    consuming,
    create_group,
    created,
    dead_letters,
    deliver,
    folded_in_order,
    pending,
    states,
    until_dead,
    until_settled,
)

WHAT = operation(GROUP, "dead requeue", "a test")


async def requeue(log: EventLog, group: str = GROUP) -> list[Requeued]:
    return await Requeue(log, 0, group).requeue(await dead_letters(log, group), WHAT)


async def one_dead(log: EventLog) -> EntryId:
    entry_id = await add_raw(log, b"name", b"stray")
    await create_group(log)
    await deliver(log, "first", 10)
    await give_up(log, entry_id)
    return entry_id


async def test_it_is_pending_again_under_its_own_id_with_no_deliveries(log: EventLog) -> None:
    entry_id = await one_dead(log)

    [one] = await requeue(log)

    assert (one.outcome, one.times) == ("requeued", 1)
    assert await pending(log) == {entry_id: (REQUEUER, 0)}
    assert await dead_letters(log) == []
    assert len(await there(log)) == 1


async def test_a_living_consumer_tries_it_at_once(log: EventLog) -> None:
    handling = Handling()
    [entry_id] = (await log.append(created())).entry_ids
    handling.failures[entry_id] = UnprocessableError("the pager is down")
    async with consuming(consumer_of(log, handling, settings=UNCLAIMED)):
        await until_dead(log, 1)
        handling.failures.clear()
        began_at = time.monotonic()
        await requeue(log)
        await handling.until_handled(entry_id)
        assert time.monotonic() - began_at < 10.0  # against 600 s of claim time
        await until_settled(log)
    assert handling.calls[entry_id] == 2


async def test_what_fails_again_is_tried_as_often_again_and_its_requeues_are_counted(
    log: EventLog,
) -> None:
    handling = Handling()
    [entry_id] = (await log.append(created())).entry_ids
    handling.failures[entry_id] = RuntimeError("still down")
    async with consuming(consumer_of(log, handling, settings=UNCLAIMED)):
        for times in range(3):
            [dead] = await until_dead(log, 1)
            assert (dead.original.entry_id, dead.deliveries) == (entry_id, 3)
            if times < 2:
                assert [one.times for one in await requeue(log)] == [times + 1]
    assert handling.calls[entry_id] == 9
    history = await Requeue(log, 0, GROUP).history([entry_id, EntryId(1, 1)])
    assert history == {entry_id: (2, "failed 3 times: RuntimeError: still down")}


async def test_the_owner_of_a_handler_group_takes_it_over_and_counts_its_failures_anew(
    log: EventLog,
) -> None:
    handling = Handling()
    first, second = (await log.append(created(), created())).entry_ids
    handling.failures[first] = RuntimeError("the pager is down")
    async with handling_with(handler_consumer_of(log, handling, settings=PROMPT)):
        await until_dead(log, 1)
        await handling.until_handled(second)
        assert handling.calls[first] == 3
        await requeue(log)
        [dead] = await until_dead(log, 1)
        assert (dead.original.entry_id, handling.calls[first]) == (first, 6)
        handling.failures.clear()
        assert [one.times for one in await requeue(log)] == [2]
        await handling.until_handled(first)
        await until_settled(log)
    assert handling.calls == {first: 7, second: 1}


async def test_an_owner_that_dies_with_a_requeued_entry_leaves_it_to_the_next(
    log: EventLog,
) -> None:
    handling = Handling()
    first, second = (await log.append(created(), created())).entry_ids
    handling.failures[first] = UnprocessableError("no")
    async with handling_with(handler_consumer_of(log, handling, settings=PROMPT)):
        await until_dead(log, 1)
        await handling.until_handled(second)
    handling.failures.clear()
    await requeue(log)
    # A try that came to no end, as an owner leaves it that is killed in the middle of one.
    await log.server.client.call("HSET", log.keys.tries(0, GROUP), str(first), "1 0 0")

    async with handling_with(handler_consumer_of(log, handling, name="next", settings=PROMPT)):
        await handling.until_handled(first)
        await until_settled(log)
    assert handling.calls[first] == 2


async def test_no_other_group_sees_it(log: EventLog) -> None:
    failing, other = Handling(), Handling()
    [entry_id] = (await log.append(created())).entry_ids
    failing.failures[entry_id] = UnprocessableError("no")
    first = consumer_of(log, failing, settings=UNCLAIMED)
    async with consuming(first, consumer_of(log, other, group="other", settings=UNCLAIMED)):
        await until_dead(log, 1)
        failing.failures.clear()
        await requeue(log)
        await failing.until_handled(entry_id)
        await until_settled(log, "other")
    assert other.calls == {entry_id: 1}
    assert len(await there(log)) == 1


async def test_an_old_event_sets_nothing_that_a_newer_one_has_set(log: EventLog) -> None:
    endpoint, route = uuid4(), uuid4()
    record = RouteRecord(route_id=route, kernel_host="10.0.0.1", kernel_port=30_000)
    await log.append(
        created(endpoint), EndpointRouteListUpdatedEvent(endpoint_id=endpoint, routes=(record,))
    )
    name = ROUTE_TABLE.name
    settings = UNCLAIMED
    async with consuming(
        consumer_of(log, Projector(log, ROUTE_TABLE, 0, settings.policy), group=name)
    ):
        await until_settled(log, name)

    async def set_ratio(ratio: float) -> EntryId:
        event = RouteTrafficRatioUpdatedEvent(
            endpoint_id=endpoint, route_id=route, traffic_ratio=ratio
        )
        return (await log.append(event)).entry_ids[0]

    old = await set_ratio(0.25)
    assert await deliver(log, "first", 1, name) == [old]
    await give_up(log, old, group=name)
    await set_ratio(0.75)

    async with consuming(
        consumer_of(log, Projector(log, ROUTE_TABLE, 0, settings.policy), group=name)
    ):
        await until_settled(log, name)
        [one] = await requeue(log, name)
        assert one.outcome == "requeued"
        await until_settled(log, name)

    found = await states(log, ROUTE_TABLE)
    assert found == await folded_in_order(log, ROUTE_TABLE)
    assert found[endpoint].routes[route].traffic_ratio == 0.75


async def test_of_many_at_once_one_requeues(log: EventLog) -> None:
    entry_id = await one_dead(log)
    letters = await dead_letters(log)
    outcomes: list[str] = []

    async def one() -> None:
        [done] = await Requeue(log, 0, GROUP).requeue(letters, WHAT)
        outcomes.append(done.outcome)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(one)

    assert sorted(outcomes) == ["gone"] * 9 + ["requeued"]
    assert await pending(log) == {entry_id: (REQUEUER, 0)}
    assert len(await newest_operations(log, 0, GROUP, 10)) == 1


async def test_one_that_is_pending_already_is_not_taken_from_its_consumer(log: EventLog) -> None:
    entry_id = await one_dead(log)
    claim = ("XCLAIM", log.keys.events(0), GROUP, "second", 0, str(entry_id), "FORCE", "JUSTID")
    await log.server.client.call(*claim)

    [one] = await requeue(log)

    assert one.outcome == "requeued"
    assert [name for name, _ in (await pending(log)).values()] == ["second"]


async def test_what_is_not_in_the_log_any_more_stays_a_dead_letter(log: EventLog) -> None:
    entry_id = await one_dead(log)
    await log.server.client.call("XDEL", log.keys.events(0), str(entry_id))

    [one] = await requeue(log)

    assert (one.outcome, one.times) == ("trimmed", None)
    assert [dead.original.entry_id for dead in await dead_letters(log)] == [entry_id]
    assert await pending(log) == {}
    assert await newest_operations(log, 0, GROUP, 10) == []


async def test_a_group_that_is_gone_keeps_its_dead_letters(log: EventLog) -> None:
    await one_dead(log)
    await log.server.client.call("XGROUP", "DESTROY", log.keys.events(0), GROUP)

    with pytest.raises(NoGroupError):
        await requeue(log)

    assert len(await dead_letters(log)) == 1


async def test_lost_with_all_that_redis_knows_a_group_gets_it_all_the_same(log: EventLog) -> None:
    handling = Handling()
    first, second = (await log.append(created(), created())).entry_ids
    handling.failures[first] = UnprocessableError("no")
    positions = Positions(log.server, log.keys, 0)
    async with consuming(consumer_of(log, handling, settings=UNCLAIMED)):
        await until_dead(log, 1)
        await handling.until_handled(second)
    assert await positions.of(f"group:{GROUP}") == second

    await requeue(log)
    assert await positions.of(f"group:{GROUP}") == first.before()
    await log.server.client.call("XGROUP", "DESTROY", log.keys.events(0), GROUP)
    handling.failures.clear()

    async with consuming(consumer_of(log, handling, settings=UNCLAIMED)):
        await handling.until_handled(first)
        await until_settled(log)
    assert await positions.of(f"group:{GROUP}") == second


async def test_a_trim_does_not_cut_what_was_requeued(log: EventLog) -> None:
    await add_old(log, 10)
    await create_group(log)
    ids = await deliver(log, "first", 10)
    await give_up(log, old_id(3))
    await requeue(log)
    rest = [str(one) for one in ids if one != old_id(3)]
    await log.server.client.call("XACK", log.keys.events(0), GROUP, *rest)
    await Group(log.server, log.keys, 0, GROUP).keep_position()

    steps = Trim(log, 0, RetentionRule(3_600)).steps(round(time.time() * 1_000))
    assert sum([step.removed async for step in steps]) == 3
    assert (await there(log))[0] == old_id(3)


async def test_more_than_one_step_takes_are_all_requeued_or_dropped(log: EventLog) -> None:
    await add_old(log, 250)
    await create_group(log)
    await deliver(log, "first", 250)
    await give_up(log, *(old_id(number) for number in range(250)))

    letters = await dead_letters(log)
    dropped = await Requeue(log, 0, GROUP).drop(letters[:120], WHAT)
    again = await Requeue(log, 0, GROUP).requeue(letters, WHAT)

    assert dropped == 120
    assert [one.outcome for one in again] == ["gone"] * 120 + ["requeued"] * 130
    assert len(await pending(log)) == 130
    assert await dead_letters(log) == []


async def test_who_did_it_is_kept_with_when_and_why(log: EventLog) -> None:
    entry_id = await one_dead(log)

    await requeue(log)

    [kept] = await newest_operations(log, 0, GROUP, 10)
    assert (kept.what, kept.reason) == ("dead requeue", "a test")
    assert kept.before == f"1 dead, {entry_id} to {entry_id}"
    assert "@" in kept.who
    assert kept.at == WHAT.at


async def test_the_place_where_requeued_entries_wait_is_no_consumer(log: EventLog) -> None:
    await one_dead(log)
    await requeue(log)

    members = {one.name: one.state for one in await read_members(log, 0, GROUP)}

    assert members == {"first": "active", REQUEUER: "requeued"}
