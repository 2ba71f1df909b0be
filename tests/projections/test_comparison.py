"""The comparison with what is live, while the group works."""

from typing import Any
from uuid import uuid4

import anyio
import msgspec
import pytest

from events import EventLog, open_log
from projections.errors import NoLiveGenerationError
from projections.projection import Projection
from projections.replay.build import build
from projections.replay.comparison import compare, settled_until
from projections.replay.folding import Folding
from projections.replay.replay import replay
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.appending import Appending
from tests.support.histories import PROJECTIONS, E, created, listed, record, started
from tests.support.projectors import member, settled, store_of
from tests.support.read_model import live_documents
from tests.support.running_consumer import (
    consuming,
    create_group,
    deliver,
    documents,
    until_settled,
)

of_each = pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)
GROUP = ROUTE_TABLE.name


async def put(log: EventLog, state: Any, revision: int = 1) -> None:  # noqa: ANN401
    key = await live_documents(log, GROUP)
    document = ROUTE_TABLE.encode(state, revision)
    await log.server.client.call("HSET", key, str(state.endpoint_id), document)


async def test_what_a_group_has_settled_ends_before_its_oldest_pending_entry(log: EventLog) -> None:
    ids = (await log.append(created(), listed(record()), started())).entry_ids
    assert (await settled_until(log, 0, GROUP)).ms == 0
    await create_group(log, GROUP)
    await deliver(log, "one", 3, GROUP)
    await log.server.client.call("XACK", log.keys.events(0), GROUP, str(ids[0]), str(ids[2]))
    assert await settled_until(log, 0, GROUP) == ids[1].before()
    await log.server.client.call("XACK", log.keys.events(0), GROUP, str(ids[1]))
    assert await settled_until(log, 0, GROUP) == ids[2]


async def test_there_is_nothing_to_compare_with_where_nothing_is_live(log: EventLog) -> None:
    with pytest.raises(NoLiveGenerationError):
        await compare(log, store_of(log), Folding(ROUTE_TABLE, 0))


@of_each
async def test_while_events_flow_what_is_right_is_never_told_as_different(
    log: EventLog, redis_url: str, projection: Projection[Any]
) -> None:
    endpoints = [uuid4() for _ in range(4)]
    appending = [Appending(log, seed, endpoints) for seed in range(2)]
    async with (
        open_log(redis_url, namespace=log.keys.namespace) as other,
        consuming(member(log, projection, "one"), member(other, projection, "other")),
        anyio.create_task_group() as load,
    ):
        await appending[0].run(10)
        await until_settled(log, projection.name)
        for one in appending:
            load.start_soon(one.run, 150)
        for _ in range(6):
            folding = Folding(projection, 0)
            await replay(log, folding)
            found = await compare(log, store_of(log, projection), folding)
            assert found.mismatches == []
            assert found.undecided == []
            assert found.endpoints == 4


async def test_what_the_group_has_not_settled_is_undecided_not_different(log: EventLog) -> None:
    await log.append(created())
    async with settled(log):
        pass
    await log.append(listed(record()))
    await deliver(log, "slow", 1, GROUP)
    folding = Folding(ROUTE_TABLE, 0)
    await replay(log, folding)
    found = await compare(log, store_of(log), folding, patience_s=0.1)
    assert (found.mismatches, found.undecided) == ([], [E])
    assert not found.agrees


async def test_a_document_is_compared_at_its_own_version(log: EventLog) -> None:
    await log.append(created(), listed(record()))
    async with settled(log):
        pass
    folding = Folding(ROUTE_TABLE, 0)
    await replay(log, folding)
    await log.append(started())
    async with settled(log):
        pass
    [pending] = (await log.append(created(name="pending"))).entry_ids
    await deliver(log, "slow", 1, GROUP)
    found = await compare(log, store_of(log), folding, patience_s=0.1)
    assert found.agrees
    assert found.position == pending.before()


async def test_a_document_without_events_and_events_without_a_document_are_told(
    log: EventLog,
) -> None:
    other = uuid4()
    await log.append(created(), created(endpoint_id=other))
    async with settled(log):
        pass
    right = (await documents(log, ROUTE_TABLE))[E][1]
    await log.server.client.call("HDEL", await live_documents(log, GROUP), str(other))
    stranger = msgspec.structs.replace(right, endpoint_id=uuid4())
    await put(log, stranger)
    folding = Folding(ROUTE_TABLE, 0)
    await replay(log, folding)
    found = await compare(log, store_of(log), folding)
    assert {(one.folded is None, one.live is None) for one in found.mismatches} == {
        (True, False),
        (False, True),
    }


async def test_a_read_model_just_built_agrees_without_a_group(log: EventLog) -> None:
    await log.append(created(), listed(record()))
    await build(log, store_of(log))
    folding = Folding(ROUTE_TABLE, 0)
    await replay(log, folding)
    assert (await compare(log, store_of(log), folding)).agrees
