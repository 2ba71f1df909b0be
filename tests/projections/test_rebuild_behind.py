"""A log that lacks what the live read model has: nothing older takes its place unasked."""

from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from events import EntryId, EventLog
from projections.errors import HistoryMissingError
from projections.projection import Projection
from projections.replay.comparison import compare
from projections.replay.document_repair import repair_document
from projections.replay.folding import Folding
from projections.replay.rebuild import Rebuild, rollback
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.histories import PROJECTIONS, E, created, listed, observed, record
from tests.support.projectors import rebuild, settled, store_of
from tests.support.read_model import generations_there, live_documents
from tests.support.running_consumer import documents

of_each = pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)


@pytest.fixture
async def ids(log: EventLog) -> list[EntryId]:
    events = (created(), listed(record()), observed("healthy"), observed("unhealthy"))
    return list((await log.append(*events)).entry_ids)


async def go_back_to(log: EventLog, ids: list[EntryId]) -> None:
    """Let the stream be the one that it was when *ids* were all there is."""
    stream, client = log.keys.events(0), log.server.client
    kept = [
        (one, (await client.execute_command("XRANGE", stream, str(one), str(one)))[0][1])
        for one in ids
    ]
    await client.call("DEL", stream)
    for entry_id, fields in kept:
        await client.call("XADD", stream, str(entry_id), *fields)


@of_each
@pytest.mark.parametrize("left", [0, 2], ids=["deleted", "older"])
async def test_what_would_be_older_than_what_is_live_does_not_go_live(
    log: EventLog, ids: list[EntryId], projection: Projection[Any], left: int
) -> None:
    async with settled(log, projection):
        pass
    before = await documents(log, projection)
    live = await generations_there(log, projection.name)
    await go_back_to(log, ids[:left])

    with pytest.raises(HistoryMissingError, match=f"{E} has an entry that the log lacks"):
        await rebuild(log, projection)

    store = store_of(log, projection)
    assert await documents(log, projection) == before
    assert await generations_there(log, projection.name) == live == [await store.live_generation()]

    done = await Rebuild(log, store, Folding(projection, 0), accept_loss=True).run()
    assert await store.live_generation() == done.generation
    assert len(await documents(log, projection)) == (left > 0)


async def test_nor_is_it_gone_back_on(log: EventLog, ids: list[EntryId]) -> None:
    async with settled(log):
        rebuilt = await rebuild(log)
    async with settled(log):
        pass
    [after] = (await log.append(observed("healthy"))).entry_ids
    async with settled(log):
        pass
    await go_back_to(log, ids)
    with pytest.raises(HistoryMissingError, match="lacks"):
        await rollback(log, store_of(log))
    assert await store_of(log).live_generation() == rebuilt.generation
    assert (await documents(log, ROUTE_TABLE))[E][1].version == after


async def test_of_many_it_names_one_and_how_many_they_are(log: EventLog) -> None:
    await log.append(*(created(endpoint_id=uuid4()) for _ in range(3)))
    async with settled(log):
        pass
    await go_back_to(log, [])
    with pytest.raises(HistoryMissingError, match="3 live documents, one of them of endpoint"):
        await rebuild(log)


def folding_of_it() -> Folding[Any]:
    return Folding(ROUTE_TABLE, 0, wants=lambda one: one == E)


async def test_nor_is_its_document_mended(log: EventLog, ids: list[EntryId]) -> None:
    async with settled(log):
        pass
    before = await documents(log, ROUTE_TABLE)
    await go_back_to(log, ids[:2])
    with pytest.raises(HistoryMissingError, match="lacks"):
        await repair_document(log, store_of(log), E, folding_of_it())
    assert await documents(log, ROUTE_TABLE) == before
    assert (
        await repair_document(log, store_of(log), E, folding_of_it(), accept_loss=True) is not None
    )
    assert (await documents(log, ROUTE_TABLE))[E][1].version == ids[1]


async def test_a_comparison_tells_it_without_waiting_for_a_group(
    log: EventLog, ids: list[EntryId]
) -> None:
    async with settled(log):
        pass
    await go_back_to(log, ids[:2])
    found = await compare(log, store_of(log), Folding(ROUTE_TABLE, 0), patience_s=60.0)
    assert (found.ahead, found.undecided) == ([E], [])
    assert [one.live.version for one in found.mismatches] == [ids[3]]


async def test_an_entry_of_a_type_that_only_the_live_side_knows_is_not_missing(
    log: EventLog, ids: list[EntryId]
) -> None:
    """Two releases run at once, and the newer one's projector has read what ours passes over."""
    fields = ("name", "route_warmed", "v", "1", "payload", f'{{"endpoint_id":"{E}"}}')
    added = await log.server.client.execute_command("XADD", log.keys.events(0), "*", *fields)
    async with settled(log):
        pass
    revision, state = (await documents(log, ROUTE_TABLE))[E]
    assert state.version == ids[3]
    seen = ROUTE_TABLE.encode(replace(state, version=EntryId.parse(added)), revision)
    await log.server.client.call("HSET", await live_documents(log, ROUTE_TABLE.name), str(E), seen)
    done = await rebuild(log)
    assert done.comparison is not None
    assert [one.live.version for one in done.comparison.mismatches] == [EntryId.parse(added)]
    assert done.comparison.ahead == []
