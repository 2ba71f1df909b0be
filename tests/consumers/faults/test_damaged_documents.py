"""A document that cannot be read: it is told, folded again, and ends nobody who reads it."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from consumers.runtime.projector import Projector
from events.catalogue.route import EndpointRouteListUpdatedEvent
from events.log.log import EventLog
from projections.health_state.health_state import HEALTH_STATE
from projections.projection import Projection
from projections.read_model.reader import ReaderSettings, open_reader
from projections.read_model.store import DamagedDocument, ReadModelStore
from projections.replay.document_repair import MENDED_MAX, repair_document
from projections.replay.folding import Folding
from projections.replay.rebuild import Rebuild
from projections.replay.replay import only
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    QUICK,
    consumer_of,
    consuming,
    documents,
    fill,
    folded_in_order,
    states,
    until_settled,
)
from tests.support.waiting import wait_until

NO_TEXT = b'{"revision":2,"endpoint_id":"\xff"}'
DEEP = b'{"revision":2,"x":' + b"[" * 100_000
FOREIGN = b"not even JSON"
ANOTHER = ROUTE_TABLE.encode(ROUTE_TABLE.initial(UUID(int=7)), 1)


@pytest.fixture(params=[ROUTE_TABLE, HEALTH_STATE], ids=lambda projection: projection.name)
def projection(request: pytest.FixtureRequest) -> Projection[Any]:
    chosen: Projection[Any] = request.param
    return chosen


@pytest.fixture
async def endpoints(log: EventLog) -> list[UUID]:
    return await fill(log, 3)


def projecting(log: EventLog, projection: Projection[Any]) -> Projector[Any]:
    return Projector(log, projection, 0, QUICK.policy)


async def damage(
    log: EventLog, projection: Projection[Any], endpoint_id: UUID, value: bytes
) -> None:
    store = ReadModelStore(log.server, log.keys, projection, 0)
    generation = await store.live_generation()
    assert generation is not None
    key = log.keys.documents(0, projection.read_model, generation)
    await log.server.client.call("HSET", key, str(endpoint_id), value)


async def until_mended(log: EventLog, projection: Projection[Any]) -> None:
    async def is_right() -> bool:
        store = ReadModelStore(log.server, log.keys, projection, 0)
        found = [state async for _, state in store.load_all(await store.live_generation() or 0)]
        folded = await folded_in_order(log, projection)
        return len(found) == len(folded) and all(state in folded.values() for state in found)

    await wait_until(is_right, "every document is what its events fold to")


@pytest.mark.parametrize("value", [NO_TEXT, DEEP, FOREIGN, ANOTHER, b""])
async def test_a_damaged_document_is_folded_again_without_any_event(
    log: EventLog, endpoints: list[UUID], projection: Projection[Any], value: bytes
) -> None:
    consumer = consumer_of(log, projecting(log, projection), group=projection.read_model)
    async with consuming(consumer):
        await until_settled(log, projection.read_model)
        before = (await documents(log, projection))[endpoints[0]]
        with captured_lines() as logs:
            await damage(log, projection, endpoints[1], value)
            await until_mended(log, projection)
    said = [line["event"] for line in logs]
    assert {"document_unreadable", "document_mended"} <= set(said)
    assert "read_model_lost" not in said
    assert (await documents(log, projection))[endpoints[0]] == before


async def test_the_next_event_of_the_endpoint_is_folded_into_all_that_came_before(
    log: EventLog, endpoints: list[UUID]
) -> None:
    projector = projecting(log, ROUTE_TABLE)
    async with consuming(consumer_of(log, projector, group=ROUTE_TABLE.name)):
        await until_settled(log, ROUTE_TABLE.name)
    await damage(log, ROUTE_TABLE, endpoints[0], NO_TEXT)
    for endpoint_id in endpoints:
        await log.append(EndpointRouteListUpdatedEvent(endpoint_id=endpoint_id, routes=()))
    async with consuming(consumer_of(log, projecting(log, ROUTE_TABLE), group=ROUTE_TABLE.name)):
        await until_settled(log, ROUTE_TABLE.name)
    assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)


async def test_of_many_damaged_documents_all_are_built_anew(log: EventLog) -> None:
    endpoints = await fill(log, MENDED_MAX + 1)
    projector = projecting(log, ROUTE_TABLE)
    async with consuming(consumer_of(log, projector, group=ROUTE_TABLE.name)):
        await until_settled(log, ROUTE_TABLE.name)
        for endpoint_id in endpoints:
            await damage(log, ROUTE_TABLE, endpoint_id, NO_TEXT)
        await until_mended(log, ROUTE_TABLE)
    assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)


async def test_a_reader_keeps_the_last_good_routes_of_a_damaged_document(
    log: EventLog, endpoints: list[UUID]
) -> None:
    async with consuming(consumer_of(log, projecting(log, ROUTE_TABLE), group=ROUTE_TABLE.name)):
        await until_settled(log, ROUTE_TABLE.name)
    quick = ReaderSettings(block_ms=20, audit_s=0.02)
    feed = log.keys.changes(0, ROUTE_TABLE.name)
    async with open_reader(log, quick) as reader:
        known = {each.endpoint_id: each for each in reader.endpoints()}
        await damage(log, ROUTE_TABLE, endpoints[0], DEEP)
        with captured_lines() as logs:
            # An entry that continues another one lets the reader load everything anew.
            fields = ("previous", "1-1", "generation", 1, "changes", f"{uuid4()} 1")
            await log.server.client.call("XADD", feed, "*", *fields)
            await wait_until(
                lambda: "table_reloaded" in [line["event"] for line in logs], "it was reloaded"
            )
            aged = reader.age_s
            await wait_until(lambda: reader.age_s < aged, "it is in step again")
        assert {each.endpoint_id: each for each in reader.endpoints()} == known


async def test_a_rebuild_and_a_repair_replace_a_damaged_document(
    log: EventLog, endpoints: list[UUID]
) -> None:
    async with consuming(consumer_of(log, projecting(log, ROUTE_TABLE), group=ROUTE_TABLE.name)):
        await until_settled(log, ROUTE_TABLE.name)
    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
    await damage(log, ROUTE_TABLE, endpoints[0], NO_TEXT)
    folding = Folding(ROUTE_TABLE, 0, None, only(endpoints[0]))
    assert await repair_document(log, store, endpoints[0], folding) == 3
    await damage(log, ROUTE_TABLE, endpoints[1], DEEP)
    live = await store.live_generation()
    assert live is not None
    found = await store.look_up(live, [str(endpoints[1])])
    assert isinstance(found[str(endpoints[1])], DamagedDocument)
    rebuilt = await Rebuild(log, store, Folding(ROUTE_TABLE, 0)).run()
    assert rebuilt.comparison is not None
    assert [each.endpoint_id for each in rebuilt.comparison.mismatches] == [endpoints[1]]
    assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)
