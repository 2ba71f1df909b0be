"""What a rebuild says before it begins: how much, how long, and what it does not know."""

from random import Random
from uuid import uuid4

import pytest

from consumers.cli.replay.progress import Eta
from events import EventLog
from events.entry.entry_id import START
from projections.replay.folding import Base, Folding
from projections.replay.plan import Plan, distinct, plan_of
from projections.replay.sample import Pace
from projections.route_table.route_table import ROUTE_TABLE
from tests.appending import Appending
from tests.projections.test_rebuild import settled, store_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("subjects", "looked_at"), [(100, 500), (5_000, 10_000), (40_000, 10_000)])
def test_how_many_there_are_is_told_from_how_many_were_found(subjects: int, looked_at: int) -> None:
    random = Random(subjects)
    drawn = [random.randrange(subjects) for _ in range(200_000)]
    told = distinct(looked_at, len(set(drawn[:looked_at])), len(drawn))
    assert told == pytest.approx(len(set(drawn)), rel=0.1)


def test_where_nothing_came_twice_nothing_is_assumed_to() -> None:
    assert distinct(10, 10, 1_000) == 1_000
    assert distinct(0, 0, 1_000) == 0


async def test_a_plan_counts_what_there_is_to_read(log: EventLog) -> None:
    appending = Appending(log, 1, [uuid4() for _ in range(5)])
    await appending.run(40)
    async with settled(log):
        pass
    await log.server.client.call("XADD", log.keys.events(0), "*", "name", "not_ours")
    await log.server.client.call(
        *("XADD", log.keys.events(0), "*", "name", "route_created", "payload", "{")
    )
    plan = await plan_of(log, store_of(log), Folding(ROUTE_TABLE, 0))
    assert plan.entries == len(appending.acknowledged) + 2
    assert plan.endpoints == 5
    assert plan.unknown == {"not_ours": 1}
    assert plan.undecodable == 1
    assert plan.live == 1
    assert plan.seconds > 0


async def test_a_plan_from_a_snapshot_counts_only_what_came_since(log: EventLog) -> None:
    appending = Appending(log, 1, [uuid4() for _ in range(5)])
    await appending.run(40)
    place = 30
    at = appending.acknowledged[place - 1].entry_id
    folding = Folding(ROUTE_TABLE, 0, Base(position=at, appended=place))
    plan = await plan_of(log, store_of(log), folding)
    assert plan.entries == len(appending.acknowledged) - place
    assert plan.since == at


async def test_an_empty_log_has_a_plan_too(log: EventLog) -> None:
    plan = await plan_of(log, store_of(log), Folding(ROUTE_TABLE, 0))
    assert (plan.entries, plan.endpoints, plan.live) == (0, 0, None)


def plan_with(
    pace: Pace, entries: int, held: float = 0, endpoints: int = 0, sample: int = 0
) -> Plan:
    return Plan(
        partition=0,
        live=None,
        since=START,
        until=START,
        entries=entries,
        endpoints=endpoints,
        held=held,
        seconds=7.0,
        memory_bytes=0,
        unknown={},
        undecodable=0,
        sample=sample,
        pace=pace,
    )


def told_of_a_run(eta: Eta, clock: list[float], pace: Pace, subjects: int) -> list[float]:
    """How far off, as a share of the whole, each time told after 5 % was."""
    total, step = 1_000_000, 10_000
    random, seen, told = Random(subjects), set[int](), []
    began_at = clock[0]
    for done in range(step, total + step, step):
        seen |= {random.randrange(subjects) for _ in range(step)}
        # Memory gets colder with what is held.
        clock[0] += step * pace.take_s * (0.7 + 0.3 * len(seen) / subjects)
        left_s = eta.left_s(done, len(seen))
        if done >= total / 20:
            told.append(clock[0] + left_s)
    ends_at = clock[0] + len(seen) * pace.fold_s
    return [abs(one - ends_at) / (ends_at - began_at) for one in told]


@pytest.mark.parametrize("planned", [1.0, 1.1, 1.2])
@pytest.mark.parametrize("subjects", [1_000, 30_000, 80_000])
def test_after_a_twentieth_the_time_left_is_off_by_a_tenth_at_most(
    planned: float, subjects: int
) -> None:
    pace, clock = Pace(0.000_005, 0.000_012), [100.0]
    plan = plan_with(Pace(planned * pace.take_s, planned * pace.fold_s), 1_000_000)
    off = told_of_a_run(Eta(plan, lambda: clock[0]), clock, pace, subjects)
    assert len(off) == 96
    assert max(off) <= 0.1


def test_a_machine_that_gets_slower_is_believed_after_a_while() -> None:
    clock = [0.0]
    eta = Eta(plan_with(Pace(0.001, 0.0), 1_000), lambda: clock[0])
    told = {}
    for done in range(10, 1_010, 10):
        clock[0] += 10 * (0.001 if done <= 200 else 0.004)
        told[done] = eta.left_s(done, 0)
    assert told[200] == pytest.approx(0.8)
    assert told[600] == pytest.approx(1.6, rel=0.1)
    assert told[1_000] == 0.0


def test_before_the_first_entry_the_plan_tells_the_time_left() -> None:
    assert Eta(plan_with(Pace(0.001, 0.5), 1_000)).left_s(0, 0) == 7.0


def test_the_time_left_counts_what_is_held_back() -> None:
    eta = Eta(plan_with(Pace(0.001, 0.5), 1_000))
    assert eta.left_s(1_000, 100) == pytest.approx(50.0, rel=0.02)


def test_the_time_left_counts_the_documents_that_are_written_and_compared() -> None:
    eta = Eta(plan_with(Pace(0.0, 0.0, write_s=0.02, compare_s=0.03), 1_000, endpoints=100))
    assert eta.left_s(500, 0) == pytest.approx(5.0, rel=0.02)


def test_of_each_phase_its_own_pace_counts_as_soon_as_it_is_known() -> None:
    clock = [0.0]
    pace = Pace(0.001, 0.5, write_s=0.02, compare_s=0.03)
    eta = Eta(plan_with(pace, 1_000, endpoints=100), lambda: clock[0])
    clock[0] = 50.0
    assert eta.left_of_documents_s("write", 0, 100) == pytest.approx(100 * (0.02 + 0.03))
    clock[0] += 2.0
    assert eta.left_of_documents_s("write", 50, 100) == pytest.approx(50 * 0.04 + 100 * 0.03)
    clock[0] += 2.0
    assert eta.left_of_documents_s("compare", 0, 100) == pytest.approx(100 * 0.03)
    clock[0] += 1.0
    assert eta.left_of_documents_s("compare", 100, 100) == 0.0
    assert eta.left_of_documents_s("swap", 0, 0) == 0.0


def test_fewer_entries_than_the_plan_looked_at_say_nothing_of_what_is_held_back_in_the_end() -> (
    None
):
    eta = Eta(plan_with(Pace(0.0, 0.5), 1_000_000, held=100.0, sample=10_000))
    assert eta.left_s(9_000, 9_000) == pytest.approx(50.0, rel=0.02)
