"""What a rebuild says before it begins: how much there is, and what it does not know."""

from uuid import uuid4

from events import EventLog
from events.entry.entry_id import EntryId
from projections.replay.folding import Base, Folding
from projections.replay.rebuild import Phase, Rebuild
from projections.replay.rebuild_plan import rebuild_plan
from projections.replay.replay import replay
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.appending import Appending
from tests.support.projectors import settled, store_of


async def test_a_plan_counts_what_there_is_to_read(log: EventLog) -> None:
    appending = Appending(log, 1, [uuid4() for _ in range(5)])
    await appending.run(40)
    async with settled(log):
        pass
    await log.server.client.call("XADD", log.keys.events(0), "*", "name", "not_ours")
    await log.server.client.call(
        *("XADD", log.keys.events(0), "*", "name", "route_created", "payload", "{")
    )
    plan = await rebuild_plan(log, store_of(log), Folding(ROUTE_TABLE, 0))
    assert plan.entries == len(appending.acknowledged) + 2
    assert plan.endpoints == 5
    assert plan.unknown == {"not_ours": 1}
    assert plan.undecodable == 1
    assert plan.looked_at == plan.entries
    assert plan.live == await store_of(log).live_generation()


async def test_a_plan_from_a_snapshot_counts_only_what_came_since(log: EventLog) -> None:
    appending = Appending(log, 1, [uuid4() for _ in range(5)])
    await appending.run(40)
    place = 30
    at = appending.acknowledged[place - 1].entry_id
    folding = Folding(ROUTE_TABLE, 0, Base(position=at, appended=place))
    plan = await rebuild_plan(log, store_of(log), folding)
    assert plan.entries == len(appending.acknowledged) - place
    assert plan.since == at


async def test_a_plan_of_a_trimmed_log_counts_what_is_left(log: EventLog) -> None:
    appending = Appending(log, 1, [uuid4() for _ in range(5)])
    await appending.run(40)
    first = appending.acknowledged[25].entry_id
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(first))
    plan = await rebuild_plan(log, store_of(log), Folding(ROUTE_TABLE, 0))
    left = len(appending.acknowledged) - 25
    assert (plan.entries, plan.looked_at, plan.endpoints) == (left, left, 5)


async def test_an_empty_log_has_a_plan_too(log: EventLog) -> None:
    plan = await rebuild_plan(log, store_of(log), Folding(ROUTE_TABLE, 0))
    assert (plan.entries, plan.endpoints, plan.live) == (0, 0, None)


async def test_more_documents_need_more_memory(log: EventLog) -> None:
    planned = []
    for count in (2, 20):
        appending = Appending(log, count, [uuid4() for _ in range(count)])
        await appending.run(10 * count)
        planned.append(await rebuild_plan(log, store_of(log), Folding(ROUTE_TABLE, 0)))
    assert planned[0].endpoints < planned[1].endpoints
    assert 75_000_000 < planned[0].memory_bytes < planned[1].memory_bytes < 80_000_000


async def test_the_fold_of_a_rebuild_from_a_snapshot_tells_only_what_it_has_to_read(
    log: EventLog,
) -> None:
    appending = Appending(log, 1, [uuid4() for _ in range(5)])
    await appending.run(40)
    begin = Folding(ROUTE_TABLE, 0)
    place = 30
    await replay(log, begin, appending.acknowledged[place - 1].entry_id)
    folding = Folding(
        ROUTE_TABLE, 0, Base(begin.states, position=begin.position, appended=begin.appended)
    )
    told: list[tuple[Phase, int, int]] = []

    def note(phase: Phase, done: int, of: int, _: EntryId) -> None:
        told.append((phase, done, of))

    await Rebuild(log, store_of(log), folding, note=note).run()

    left = len(appending.acknowledged) - place
    assert told[0] == ("fold", left, left)
