"""A destroyed endpoint is forgotten when the log has nothing of it any more, and not before."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from consumers.processes.retention_process import Retention
from consumers.retention.settings import RetentionSettings
from consumers.runtime.projector import Projector
from events.catalogue.endpoint import EndpointDestroyedEvent
from events.entry.codec import encode
from events.entry.entry_id import START
from events.log.log import EventLog
from projections.catalogue import PROJECTIONS
from projections.health_state.health_state import HEALTH_STATE
from projections.read_model.reader import ReaderSettings, open_reader
from projections.read_model.store import ReadModelStore
from projections.read_model.tombstones import Tombstones
from projections.replay.comparison import compare
from projections.replay.folding import Folding
from projections.replay.replay import replay
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings
from projections.snapshots.snapshot_store import Snapshots
from tests.events.support.old_entries import old_id
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    QUICK,
    consumer_of,
    consuming,
    created,
    states,
    until_settled,
)
from tests.support.waiting import wait_until

GONE = UUID("c4a70000-0000-4000-8000-000000000000")


async def fill(log: EventLog) -> None:
    """Put one endpoint that was destroyed long ago before one that is there."""
    await log.append(created())
    call, stream = log.server.client.call, log.keys.events(0)
    [[kept]] = [chunk async for chunk in log.read_entries(0)]
    await call("DEL", stream)
    for number, event in enumerate((created(GONE), EndpointDestroyedEvent(endpoint_id=GONE))):
        fields = encode(event, GONE, "test")
        await call("XADD", stream, str(old_id(number)), *(p for f in fields.items() for p in f))
    await call("HSET", log.keys.heads(0), str(GONE), str(old_id(1)))
    strings = [part for field in kept.fields.items() for part in field]
    await call("XADD", stream, str(kept.entry_id), *strings)


@asynccontextmanager
async def projecting(log: EventLog) -> AsyncIterator[None]:
    consumers = [
        consumer_of(log, Projector(log, each, 0, QUICK.policy), group=each.read_model)
        for each in PROJECTIONS.values()
    ]
    async with consuming(*consumers):
        for each in PROJECTIONS.values():
            await until_settled(log, each.read_model)
        yield


@pytest.fixture
async def projected(log: EventLog) -> AsyncIterator[EventLog]:
    await fill(log)
    async with projecting(log):
        yield log


async def trim(log: EventLog) -> None:
    rule = RetentionSettings(keep_s=3_600, without_archive=True, without_snapshot=True)
    await Retention(log, rule).trim()


async def test_it_is_kept_while_the_log_has_its_events_and_then_forgotten_by_all(
    projected: EventLog,
) -> None:
    log = projected
    for projection in (ROUTE_TABLE, HEALTH_STATE):
        assert await Tombstones(log.server, log.keys, projection, 0).sweep() == 0
    async with open_reader(log, ReaderSettings(block_ms=20)) as reader:
        gone = reader.endpoint(GONE)
        assert gone is not None
        assert gone.is_destroyed
        with captured_lines() as logs:
            await trim(log)
        told = {line["read_model"]: line["endpoints"] for line in logs if "read_model" in line}
        assert told == {"route-table": 1, "health-state": 1}
        await wait_until(lambda: reader.endpoint(GONE) is None, "the reader has forgotten it")
        assert len(list(reader.endpoints())) == 1
    for projection in (ROUTE_TABLE, HEALTH_STATE):
        assert GONE not in await states(log, projection)
        generations = await log.server.client.call("HGETALL", log.keys.generations(0))
        assert isinstance(generations, dict)
        assert generations[f"{projection.name}:documents".encode()] == b"1"
    assert await log.server.client.call("HGET", log.keys.heads(0), str(GONE)) is None
    assert await log.endpoint_head(GONE) == START


async def test_what_was_forgotten_is_no_difference_and_stays_out_of_snapshots(
    projected: EventLog, tmp_path: object
) -> None:
    log = projected
    snapshots = Snapshots(log, 0, SnapshotSettings(str(tmp_path)))
    whole = Folding(ROUTE_TABLE, 0)
    await replay(log, whole)
    before = await snapshots.keep(whole)
    assert before is not None
    assert before.documents == 2
    await trim(log)
    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
    from_snapshot = await snapshots.newest(ROUTE_TABLE)
    assert GONE in from_snapshot.states
    assert (await compare(log, store, from_snapshot)).agrees
    await replay(log, from_snapshot)
    after = await snapshots.keep(from_snapshot)
    assert after is not None
    assert after.documents == 1


async def test_a_late_event_of_a_forgotten_endpoint_loses_no_read_model(
    projected: EventLog,
) -> None:
    log = projected
    await trim(log)
    with captured_lines() as logs:
        await log.append(created(GONE))
        await until_settled(log, ROUTE_TABLE.name)
    assert "read_model_lost" not in [line["event"] for line in logs]
    assert GONE in await states(log, ROUTE_TABLE)


async def test_a_backlog_of_old_entries_keeps_the_tombstones(log: EventLog) -> None:
    await fill(log)
    async with projecting(log):
        head = await log.head(0)
    call, stream = log.server.client.call, log.keys.events(0)
    await call("XTRIM", stream, "MINID", str(head))
    sweeping = Tombstones(log.server, log.keys, HEALTH_STATE, 0)
    await call("XGROUP", "SETID", stream, HEALTH_STATE.name, str(old_id(0)))
    assert await sweeping.sweep() == 0
    await call("XGROUP", "SETID", stream, HEALTH_STATE.name, str(head))
    assert await sweeping.sweep() == 1


async def test_one_that_changed_meanwhile_is_kept(log: EventLog) -> None:
    await fill(log)
    async with projecting(log):
        head = await log.head(0)
    call = log.server.client.call
    await call("XTRIM", log.keys.events(0), "MINID", str(head))
    await call("HSET", log.keys.heads(0), str(GONE), str(head))
    assert await Tombstones(log.server, log.keys, ROUTE_TABLE, 0).sweep() == 0
    assert GONE in await states(log, ROUTE_TABLE)
