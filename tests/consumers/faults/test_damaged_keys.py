"""What is kept beside the log holds garbage: everybody goes on, and the garbage is told."""

import anyio
import pytest

from consumers.groups.operations import newest_operations
from consumers.groups.requeue import Requeue
from consumers.groups.state import read_group_states
from consumers.runtime.losses import Losses
from consumers.runtime.projector import Projector
from events.catalogue.endpoint import EndpointDestroyedEvent
from events.entry.entry_id import START
from events.log.log import EventLog
from events.log.positions import Positions
from events.retention.retention import RetentionRule, read_cut
from events.retention.trim import Trim
from events.server.server import now_of
from producers.checker.membership import MembershipSettings, join
from projections.read_model.reader import ReaderSettings, open_reader
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.examination import examined_log, not_well
from tests.consumers.support.handler_group import PROMPT, handler_consumer_of, handling_with
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    Handling,
    consumer_of,
    consuming,
    created,
    fill,
    folded_in_order,
    states,
    until_dead,
    until_settled,
)
from tests.support.waiting import wait_until

GARBAGE = b"\xff garbage"


async def put(log: EventLog, key: str, field: str | bytes, value: bytes = GARBAGE) -> None:
    await log.server.client.call("HSET", key, field, value)


@pytest.mark.parametrize("value", [GARBAGE, b"", b"1 2", b"-1 0 0", b"9" * 5_000])
async def test_a_handler_group_goes_on_over_damaged_tries(log: EventLog, value: bytes) -> None:
    [entry_id] = (await log.append(created())).entry_ids
    key = log.keys.tries(0, GROUP)
    await put(log, key, str(entry_id), value)
    await put(log, key, b"\xffstray", value)
    handling = Handling()
    with captured_lines() as logs, anyio.fail_after(30):
        async with handling_with(handler_consumer_of(log, handling)):
            await handling.until_handled(entry_id)
            await until_settled(log)
    assert "tries_unreadable" in [line["event"] for line in logs] or not value


async def test_a_partition_whose_lease_holds_garbage_is_owned_again(log: EventLog) -> None:
    await log.server.client.call("SET", log.keys.lease(0, GROUP), GARBAGE)
    await log.server.client.call("SET", log.keys.fence(0, GROUP), GARBAGE)
    handling = Handling()
    with anyio.fail_after(30):
        async with handling_with(handler_consumer_of(log, handling, settings=PROMPT)):
            [entry_id] = (await log.append(created())).entry_ids
            await handling.until_handled(entry_id)


async def test_damaged_positions_hold_the_log_and_end_nobody(log: EventLog) -> None:
    key = log.keys.positions(0)
    await put(log, key, f"group:{GROUP}")
    await put(log, key, b"\xffbackup")
    await put(log, key, "snapshot:route-table")
    handling = Handling()
    async with handling_with(handler_consumer_of(log, handling)):
        first, *_ = (await log.append(*(created() for _ in range(3)))).entry_ids
        await handling.until_handled(first)
        await until_settled(log)
    positions = Positions(log.server, log.keys, 0)
    assert await positions.of(f"group:{GROUP}") == await log.head(0)
    assert (await positions.all())["snapshot:route-table"] == START
    rule, now_ms = RetentionRule(keep_s=120), first.ms + 10_000_000
    cut = await read_cut(log, 0, rule, now_ms)
    assert cut is not None
    assert cut.at == START
    [step] = [step async for step in Trim(log, 0, rule).steps(now_ms)]
    assert (step.removed, step.cut) == (0, START)
    told = not_well(await examined_log(log))
    assert told["position of snapshot:route-table, partition 0"] == "error"


async def test_a_damaged_trim_position_does_not_end_a_projector(log: EventLog) -> None:
    await put(log, log.keys.positions(0), "trimmed")
    await fill(log, 2)
    projector = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
    async with consuming(consumer_of(log, projector, group=ROUTE_TABLE.name)):
        await until_settled(log, ROUTE_TABLE.name)
    assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)


async def test_damaged_notes_of_a_group_leave_its_inspection_alone(log: EventLog) -> None:
    handling = Handling()
    async with handling_with(handler_consumer_of(log, handling)):
        [entry_id] = (await log.append(created())).entry_ids
        await handling.until_handled(entry_id)
    call, keys = log.server.client.call, log.keys
    await put(log, keys.lost(0), GROUP)
    await put(log, keys.requeues(0, GROUP), str(entry_id))
    for stream in (keys.losses(0), keys.operations(0)):
        await call("XADD", stream, "*", "group", GROUP, b"\xff", GARBAGE)
    [state] = [state async for state in read_group_states(log)]
    losses = Losses(log.server, keys, 0, GROUP)
    assert (state.lost, await losses.total(), await losses.read()) == (0, 0, [])
    assert await newest_operations(log, 0, GROUP, 9) == []
    assert (await Requeue(log, 0, GROUP).history([entry_id]))[entry_id][0] == 0


async def test_a_dead_letter_without_a_zone_is_a_stray_value(log: EventLog) -> None:
    about = {"dead_entry_id": "5-0", "dead_reason": "r", "dead_error": "e", "dead_deliveries": "1"}
    about |= {"dead_consumer": "c", "dead_first_at": "2026-01-31", "dead_last_at": "2026-01-31"}
    strings = [part for field in about.items() for part in field]
    await log.server.client.call("XADD", log.keys.dead(0, GROUP), "*", *strings)
    [letter] = await until_dead(log, 1)
    assert letter.reason == "unreadable"


async def test_a_checker_whose_name_is_no_text_ends_no_other(log: EventLog) -> None:
    now_ms = (await now_of(log.server)).timestamp() * 1_000
    await log.server.client.call("ZADD", log.keys.checkers, now_ms, b"\xff")
    async with join(log.server, log.keys, "mine", MembershipSettings()) as membership:
        assert membership.living == {"mine", "\\xff"}


async def test_a_feed_with_garbage_in_it_is_followed(log: EventLog) -> None:
    endpoints = await fill(log, 2)
    projector = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
    feed = log.keys.changes(0, ROUTE_TABLE.name)
    reading = ReaderSettings(block_ms=20, audit_s=3_600)
    async with consuming(consumer_of(log, projector, group=ROUTE_TABLE.name)):
        await until_settled(log, ROUTE_TABLE.name)
        with captured_lines() as logs:
            async with open_reader(log, reading) as reader:
                for changes in (GARBAGE, b"x 1", f"{endpoints[0]} 1 2".encode(), b""):
                    fields = ("previous", "", "generation", GARBAGE, "changes", changes)
                    await log.server.client.call("XADD", feed, "*", *fields)
                await put(log, log.keys.generations(0), f"{ROUTE_TABLE.name}:changes")
                await log.append(EndpointDestroyedEvent(endpoint_id=endpoints[1]))

                def is_destroyed() -> bool:
                    endpoint = reader.endpoint(endpoints[1])
                    return endpoint is not None and endpoint.is_destroyed

                await wait_until(is_destroyed, "the reader knows of it")
            async with open_reader(log, reading) as another:
                assert another.endpoint(endpoints[1]) == reader.endpoint(endpoints[1])
    assert "feed_entry_unreadable" in [line["event"] for line in logs]
