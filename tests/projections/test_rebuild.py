"""A rebuild beside a read model that is live: compared, swapped in, and taken back."""

from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from events import EntryId, EventLog, open_log
from projections.errors import HistoryMissingError, NothingKeptError, NotSwappedError
from projections.projection import Projection
from projections.read_model.generations import BUILD_TTL_S
from projections.read_model.reader import ReaderSettings, RouteTableReader, open_reader
from projections.replay.build import build
from projections.replay.document_repair import repair_document
from projections.replay.folding import Folding
from projections.replay.rebuild import (
    Phase,
    Rebuild,
    Rebuilt,
    rollback,
)
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.appending import Appending, truth
from tests.support.histories import PROJECTIONS, E, created, listed, observed, record, started
from tests.support.projectors import member, rebuild, settled, store_of
from tests.support.read_model import generations_there, live_documents
from tests.support.running_consumer import consuming, documents, states, until_settled
from tests.support.waiting import wait_until

of_each = pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays pending for good is not waited for."""
    monkeypatch.setattr("projections.replay.rebuild.COMPARE_PATIENCE_S", 0.3)


@of_each
async def test_a_rebuild_is_what_happened_and_agrees_with_what_was_live(
    log: EventLog, projection: Projection[Any]
) -> None:
    appending = Appending(log, 1, [uuid4() for _ in range(5)])
    await appending.run(100)
    async with settled(log, projection):
        live = await store_of(log, projection).live_generation()
        done = await rebuild(log, projection)
    assert (done.before, done.swap_tries) == (live, 1)
    assert done.generation == await store_of(log, projection).live_generation() != live
    assert done.comparison is not None
    assert done.comparison.agrees
    assert done.comparison.endpoints == 5
    assert done.position == appending.acknowledged[-1].entry_id
    assert await states(log, projection) == truth(projection, [appending])


async def test_the_replaced_generation_is_kept_and_the_one_before_it_is_deleted(
    log: EventLog,
) -> None:
    await log.append(created(), listed(record()))
    async with settled(log):
        second = await rebuild(log)
        third = await rebuild(log)
    there = await generations_there(log, ROUTE_TABLE.name)
    assert there == [second.generation, third.generation]
    kept = await store_of(log).kept()
    assert kept is not None
    assert kept.generation == second.generation


async def test_what_a_live_document_had_wrong_is_named_and_mended(log: EventLog) -> None:
    await log.append(created(), listed(record()))
    [last] = (await log.append(started())).entry_ids
    async with settled(log):
        store = store_of(log)
        revision, right = (await documents(log, ROUTE_TABLE))[E]
        wrong = ROUTE_TABLE.encode(right, revision).replace(b'"10.0.0.1"', b'"10.9.9.9"')
        live = await live_documents(log, "route-table")
        await log.server.client.call("HSET", live, str(E), wrong)
        done = await rebuild(log)
    assert done.comparison is not None
    [mismatch] = done.comparison.mismatches
    assert mismatch.folded == right
    assert mismatch.live.present_routes[0].kernel_host == "10.9.9.9"
    assert right.version == last
    assert await store.live_document(str(E)) == (1, right)


async def test_the_swap_is_refused_while_the_group_has_settled_what_was_not_folded(
    log: EventLog,
) -> None:
    [first] = (await log.append(created())).entry_ids
    async with settled(log):
        pass
    store = store_of(log)
    generation = await store.new_generation()
    folding, live = Folding(ROUTE_TABLE, 0), await store.live_generation()
    assert await store.swap(generation, live, EntryId(0, 1), [], 0) == "ahead"
    assert await store.live_generation() == live
    document = next(iter([(str(E), ROUTE_TABLE.encode(folding.projection.initial(E), 1))]))
    assert await store.swap(generation, live, first, [document], 2) == "short"
    assert await store.swap(generation, 9, first, [document], 1) == "moved"
    assert await store.swap(generation, live, first, [document], 1) == "live"


async def test_what_is_delivered_but_still_pending_does_not_hold_up_the_swap(log: EventLog) -> None:
    [first] = (await log.append(created())).entry_ids
    async with settled(log):
        pass
    pending = (await log.append(listed(record()), started())).entry_ids
    read = ("XREADGROUP", "GROUP", "route-table", "slow", "STREAMS", log.keys.events(0), ">")
    await log.server.client.call(*read)
    store = store_of(log)
    document = (str(E), ROUTE_TABLE.encode(ROUTE_TABLE.initial(E), 1))
    live, generation = await store.live_generation(), await store.new_generation()
    await log.server.client.call("XACK", log.keys.events(0), "route-table", str(pending[1]))
    assert await store.swap(generation, live, first, [document], 1) == "ahead"
    await log.server.client.call("XACK", log.keys.events(0), "route-table", str(pending[0]))
    assert await store.swap(generation, live, pending[1], [document], 1) == "live"
    kept = await store.kept()
    assert kept is not None
    assert kept.since == pending[1]


async def test_a_swap_notes_the_oldest_pending_entry_for_the_way_back(log: EventLog) -> None:
    await log.append(created())
    async with settled(log):
        pass
    pending = (await log.append(listed(record()), started())).entry_ids
    read = ("XREADGROUP", "GROUP", "route-table", "slow", "STREAMS", log.keys.events(0), ">")
    await log.server.client.call(*read)
    await rebuild(log)
    kept = await store_of(log).kept()
    assert kept is not None
    assert kept.since == pending[0]


class Watching:
    """Looks at every endpoint of a reader again and again, and notes where one went back."""

    def __init__(self, reader: RouteTableReader) -> None:
        self._reader = reader
        self.went_back: list[tuple[EntryId, EntryId]] = []
        self.looks = 0

    async def run(self) -> None:
        newest: dict[UUID, EntryId] = {}
        while True:
            for endpoint in self._reader.endpoints():
                before = newest.get(endpoint.endpoint_id, endpoint.version)
                if endpoint.version < before:
                    self.went_back.append((before, endpoint.version))
                newest[endpoint.endpoint_id] = endpoint.version
            self.looks += 1
            await self._reader.changed()


async def test_under_load_no_reader_sees_a_document_go_back(log: EventLog, redis_url: str) -> None:
    endpoints = [uuid4() for _ in range(20)]
    appending = [Appending(log, seed, endpoints) for seed in range(3)]
    done: list[Rebuilt] = []
    async with (
        open_log(redis_url, namespace=log.keys.namespace) as other,
        consuming(member(log, ROUTE_TABLE, "one"), member(other, ROUTE_TABLE, "other")),
    ):
        await appending[0].run(20)
        await until_settled(log, ROUTE_TABLE.name)
        async with (
            open_reader(other, ReaderSettings(block_ms=50, audit_s=0.2)) as reader,
            anyio.create_task_group() as tasks,
        ):
            watching = Watching(reader)
            async with anyio.create_task_group() as load:
                tasks.start_soon(watching.run)
                for one in appending:
                    load.start_soon(one.run, 250)
                for _ in range(4):
                    done.append(await rebuild(log))
                    done.append(await rollback(log, store_of(log)))
            await until_settled(log, ROUTE_TABLE.name)
            true = truth(ROUTE_TABLE, appending)
            await wait_until(
                lambda: {e.endpoint_id: e for e in reader.endpoints()} == true, "it has all"
            )
            tasks.cancel_scope.cancel()
    assert watching.went_back == []
    assert watching.looks > 20
    assert [one.before for one in done[1:]] == [one.generation for one in done[:-1]]
    assert [one.comparison.mismatches for one in done if one.comparison] == [[]] * 8
    assert await states(log, ROUTE_TABLE) == true


async def test_a_rollback_has_what_came_since_the_swap(log: EventLog) -> None:
    appending = Appending(log, 1, [uuid4() for _ in range(3)])
    await appending.run(30)
    async with settled(log):
        rebuilt = await rebuild(log)
    await appending.run(30)
    async with settled(log):
        done = await rollback(log, store_of(log))
    assert (done.before, done.generation) == (rebuilt.generation, rebuilt.before)
    assert done.entries < len(appending.acknowledged)
    assert await states(log, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])


async def test_a_generation_that_is_live_again_is_not_kept_any_more(log: EventLog) -> None:
    await log.append(created())
    async with settled(log):
        rebuilt = await rebuild(log)
    await log.server.client.call("DEL", log.keys.live(0, ROUTE_TABLE.name))
    assert (await rollback(log, store_of(log))).generation == rebuilt.before
    assert await store_of(log).kept() is None


async def test_there_is_no_way_back_to_a_generation_that_lacks_documents(log: EventLog) -> None:
    await log.append(created())
    async with settled(log):
        await log.append(created(endpoint_id=uuid4()))
    async with settled(log):
        kept = await live_documents(log, ROUTE_TABLE.name)
        rebuilt = await rebuild(log)
        await log.server.client.call("HDEL", kept, str(E))
        with pytest.raises(NothingKeptError, match="only 1 of its 2 documents"):
            await rollback(log, store_of(log))
    assert await store_of(log).live_generation() == rebuilt.generation


async def test_there_is_no_way_back_where_nothing_was_replaced(log: EventLog) -> None:
    await build(log, store_of(log))
    with pytest.raises(NothingKeptError, match="no earlier generation is kept"):
        await rollback(log, store_of(log))


async def test_a_rebuild_does_not_replace_a_generation_that_it_did_not_see(log: EventLog) -> None:
    await log.append(created())
    async with settled(log):
        pass
    store = store_of(log)
    others: list[Rebuilt] = []
    rebuild_of_ours = Rebuild(log, store, Folding(ROUTE_TABLE, 0))
    real = store.new_generation

    async def overtaken() -> int:
        if not others:
            others.append(await Rebuild(log, store_of(log), Folding(ROUTE_TABLE, 0)).run())
        return await real()

    store.new_generation = overtaken  # type: ignore[method-assign]
    with pytest.raises(NotSwappedError, match="another generation went live"):
        await rebuild_of_ours.run()
    assert await store.live_generation() == others[0].generation
    there = [others[0].before, others[0].generation]
    assert await generations_there(log, "route-table") == there


async def test_a_rebuild_whose_live_generation_is_taken_away_discards_itself(
    log: EventLog,
) -> None:
    await log.append(created())
    async with settled(log):
        pass
    store = store_of(log)
    [live] = await generations_there(log, "route-table")
    begun = Rebuild(log, store, Folding(ROUTE_TABLE, 0))
    write_all = begun._write_all

    async def taken_away(generation: int) -> None:
        await write_all(generation)
        await store.retire(live)

    begun._write_all = taken_away  # type: ignore[method-assign]
    with pytest.raises(NotSwappedError, match="was taken away, meanwhile"):
        await begun.run()
    assert await store.live_generation() is None
    assert await generations_there(log, "route-table") == [live]


async def test_what_an_interrupted_rebuild_leaves_goes_away_by_itself(log: EventLog) -> None:
    await log.append(created())
    async with settled(log):
        pass

    def interrupt(phase: Phase, *_: object) -> None:
        if phase == "compare":
            raise KeyError(phase)

    with pytest.raises(KeyError):
        await Rebuild(log, store_of(log), Folding(ROUTE_TABLE, 0), note=interrupt).run()
    first, second = await generations_there(log, ROUTE_TABLE.name)
    left = log.keys.documents(0, ROUTE_TABLE.name, second)
    assert 0 < await log.server.client.execute_command("TTL", left) <= BUILD_TTL_S
    assert await store_of(log).live_generation() == first
    assert (await rebuild(log)).generation > second
    live = await live_documents(log, ROUTE_TABLE.name)
    assert await log.server.client.execute_command("TTL", live) == -1


async def test_from_a_trimmed_log_nothing_is_rebuilt(log: EventLog) -> None:
    ids = (await log.append(created(), listed(record()), started())).entry_ids
    async with settled(log):
        pass
    before = await documents(log, ROUTE_TABLE)
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(ids[1]))
    with pytest.raises(HistoryMissingError):
        await rebuild(log)
    assert await documents(log, ROUTE_TABLE) == before
    store = store_of(log)
    await Rebuild(log, store, Folding(ROUTE_TABLE, 0), accept_loss=True).run()
    assert (await documents(log, ROUTE_TABLE))[E][1].name is None


async def test_one_document_is_mended(log: EventLog) -> None:
    await log.append(created(), listed(record()), observed("healthy"))
    async with settled(log):
        pass
    key = await live_documents(log, ROUTE_TABLE.name)
    revision, right = (await documents(log, ROUTE_TABLE))[E]
    wrong = ROUTE_TABLE.encode(right, revision).replace(b'"healthy"', b'"unhealthy"')
    await log.server.client.call("HSET", key, str(E), wrong)
    folding = Folding(ROUTE_TABLE, 0, wants=lambda one: one == E)
    assert await repair_document(log, store_of(log), E, folding) == revision + 1
    assert (await documents(log, ROUTE_TABLE))[E] == (revision + 1, right)
    assert await repair_document(log, store_of(log), E, folding) is None


async def test_a_new_version_is_a_read_model_of_its_own(log: EventLog) -> None:
    new = Projection(
        name=ROUTE_TABLE.name,
        version=2,
        initial=ROUTE_TABLE.initial,
        evolve=ROUTE_TABLE.evolve,
        document=ROUTE_TABLE.document,
        encode=ROUTE_TABLE.encode,
        decode=ROUTE_TABLE.decode,
    )
    appending = Appending(log, 3, [uuid4() for _ in range(3)])
    await appending.run(20)
    async with consuming(member(log, ROUTE_TABLE, "old release")):
        await until_settled(log, "route-table")
        async with consuming(member(log, new, "new release")):
            await appending.run(20)
            await until_settled(log, "route-table")
            await until_settled(log, "route-table-v2")
    assert len(await generations_there(log, "route-table")) == 1
    assert len(await generations_there(log, "route-table-v2")) == 1
    true = truth(ROUTE_TABLE, [appending])
    assert await states(log, ROUTE_TABLE) == true
    raw = await log.server.client.execute_command(
        "HGETALL", await live_documents(log, "route-table-v2")
    )
    assert {UUID(one.decode()): new.decode(doc)[1] for one, doc in raw.items()} == true


async def test_a_rollback_has_what_was_pending_at_the_swap_and_settled_since(log: EventLog) -> None:
    await log.append(created())
    async with settled(log):
        pass
    pending = (await log.append(listed(record()), started())).entry_ids
    read = ("XREADGROUP", "GROUP", "route-table", "slow", "STREAMS", log.keys.events(0), ">")
    await log.server.client.call(*read)
    await rebuild(log)
    await log.server.client.call("XACK", log.keys.events(0), "route-table", *map(str, pending))
    await rollback(log, store_of(log))
    [endpoint] = (await states(log, ROUTE_TABLE)).values()
    assert [route.status for route in endpoint.present_routes] == ["running"]
    assert endpoint.version == pending[1]
