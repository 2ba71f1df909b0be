"""The trim on a real server: exact counts, and never an entry that somebody still needs."""

import time
from typing import Any
from uuid import uuid4

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import open_log
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.log.positions import Positions
from events.retention import trim as trim_module
from events.retention.retention import RetentionRule, trimmed_to
from events.retention.trim import Trim, TrimStep, count_before, is_ours
from tests.events.support.old_entries import acknowledge, add_old, create, old_id, read, there

RULE = RetentionRule(keep_s=3_600)


async def trim(log: EventLog, rule: RetentionRule = RULE, now_ms: int = 0) -> list[TrimStep]:
    now_ms = now_ms or round(time.time() * 1_000)
    return [step async for step in Trim(log, 0, rule).steps(now_ms)]


async def test_exactly_what_a_group_has_ended_is_cut_and_counted(log: EventLog) -> None:
    await add_old(log, 10)
    await create(log, "readers")
    given_ids = await read(log, "readers", 8)
    await acknowledge(log, "readers", *given_ids[:3], *given_ids[4:])

    [*_, last] = steps = await trim(log)

    assert sum(step.removed for step in steps) == 3
    assert (last.cut, last.held_by, last.is_done) == (old_id(3), "group:readers", True)
    assert await there(log) == [old_id(number) for number in range(3, 10)]


async def test_the_entry_a_group_stands_at_is_kept(log: EventLog) -> None:
    await add_old(log, 5)
    await create(log, "readers")
    await acknowledge(log, "readers", *await read(log, "readers", 5))

    await trim(log)

    assert await there(log) == [old_id(4)]


async def test_what_is_young_is_kept_whoever_has_read_it(log: EventLog) -> None:
    await add_old(log, 10)
    now_ms = old_id(6).ms + 3_600_000

    [*_, last] = await trim(log, now_ms=now_ms)

    assert (last.cut, last.held_by) == (old_id(6), None)
    assert await there(log) == [old_id(number) for number in range(6, 10)]


async def test_the_slowest_of_several_readers_decides(log: EventLog) -> None:
    await add_old(log, 10)
    await create(log, "readers")
    await acknowledge(log, "readers", *await read(log, "readers", 9))
    positions = Positions(log.server, log.keys, 0)
    await positions.advance("archive", old_id(2))
    await positions.advance("snapshot:route-table", old_id(5))

    [*_, last] = await trim(log)
    assert (last.cut, last.held_by) == (old_id(2), "archive")

    [*_, last] = await trim(log, RetentionRule(3_600, without=("archive",)))
    assert (last.cut, last.held_by) == (old_id(5), "snapshot:route-table")

    [*_, last] = await trim(log, RetentionRule(3_600, without=("archive", "snapshot")))
    assert (last.cut, last.held_by) == (old_id(8), "group:readers")


async def test_while_something_required_is_missing_nothing_is_cut(log: EventLog) -> None:
    await add_old(log, 10)
    rule = RetentionRule(3_600, ("archive", "snapshot:route-table"), ("snapshot",))

    assert [(one.removed, one.held_by) for one in await trim(log, rule)] == [(0, "archive")]
    assert len(await there(log)) == 10


async def test_a_lost_group_is_not_cut_off_from_where_it_stood(log: EventLog) -> None:
    await add_old(log, 10)
    await Positions(log.server, log.keys, 0).advance("group:lost", old_id(4))

    await trim(log)

    assert (await there(log))[0] == old_id(4)


async def test_a_group_that_is_set_back_between_two_steps_loses_nothing(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trim_module, "STEP_ENTRIES", 100)
    await add_old(log, 1_000)
    await create(log, "readers", "$")
    steps = Trim(log, 0, RULE).steps(round(time.time() * 1_000))
    first = await anext(steps)
    assert 0 < first.removed <= 100
    [begins, *_] = await there(log)

    await log.server.client.call("XGROUP", "SETID", log.keys.events(0), "readers", str(begins))
    rest = [step async for step in steps]

    assert sum(step.removed for step in rest) == 0
    assert (await there(log))[0] == begins


async def test_a_long_log_is_cut_in_bounded_steps(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trim_module, "STEP_ENTRIES", 500)
    await add_old(log, 3_000)

    steps = await trim(log, now_ms=old_id(2_950).ms + 3_600_000)

    assert len(steps) >= 6
    assert max(step.removed for step in steps) <= 500
    assert sum(step.removed for step in steps) == 2_950
    assert len(await there(log)) == 50


async def test_up_to_where_it_was_cut_is_written_down_in_the_same_step(log: EventLog) -> None:
    await add_old(log, 10)
    await log.server.client.call("XADD", log.keys.events(0), f"{old_id(20).ms}-7", "name", "stray")
    await create(log, "readers")
    await read(log, "readers", 4)
    assert await trimmed_to(log, 0) is None
    await acknowledge(log, "readers", old_id(0), old_id(1))

    await trim(log)
    assert await Positions(log.server, log.keys, 0).of("trimmed") == old_id(2).before()

    await acknowledge(log, "readers", *await read(log, "readers", 20), old_id(2), old_id(3))
    await trim(log)
    assert await Positions(log.server, log.keys, 0).of("trimmed") == EntryId(old_id(20).ms, 6)
    assert await trimmed_to(log, 0) == EntryId(old_id(20).ms, 6)


@pytest.mark.parametrize(
    ("first", "before"),
    [
        ("1700000000000-0", "1699999999999-18446744073709551615"),
        ("1700000000000-18446744073709551615", "1700000000000-18446744073709551614"),
        ("18014398509481985-1000", "18014398509481985-999"),
        ("9007199254740993-0", "9007199254740992-18446744073709551615"),
    ],
)
async def test_ids_beyond_the_precision_of_a_float_are_written_down_exactly(
    log: EventLog, first: str, before: str
) -> None:
    stream = log.keys.events(0)
    await log.server.client.call("XADD", stream, "5-0", "name", "stray")
    await log.server.client.call("XADD", stream, first, "name", "stray")

    await trim(log, now_ms=2**62)

    assert await Positions(log.server, log.keys, 0).of("trimmed") == EntryId.parse(before)


async def test_a_trim_of_nothing_writes_nothing(log: EventLog) -> None:
    assert await trim(log) == []
    await add_old(log, 1)
    assert [step.removed for step in await trim(log)] == [0]
    assert await Positions(log.server, log.keys, 0).all() == {}


async def test_a_log_that_routestream_did_not_make_is_not_ours(
    redis_url: str, log: EventLog
) -> None:
    assert await is_ours(log)
    async with open_log(redis_url, namespace=f"other-{uuid4().hex[:8]}") as other:
        await other.server.client.call("DEL", other.keys.layout)
        assert not await is_ours(other)


async def test_entries_are_counted_up_to_a_limit(log: EventLog) -> None:
    await add_old(log, 10)
    places = [old_id(0), old_id(4), EntryId(old_id(4).ms, 1), old_id(50)]

    assert list((await count_before(log, 0, places)).values()) == [0, 4, 5, 10]
    counts = await count_before(log, 0, places, counted_max=5)
    assert counts[old_id(50)] is None
    assert await count_before(log, 0, []) == {}


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 150)),
        st.tuples(st.just("read"), st.integers(1, 120), st.sampled_from(["a", "b"])),
        st.tuples(st.just("end"), st.floats(0, 1), st.sampled_from(["a", "b"])),
        st.tuples(st.just("claim"), st.integers(1, 50), st.sampled_from(["a", "b"])),
        st.tuples(st.just("trim")),
        st.tuples(st.just("create"), st.floats(0, 1), st.sampled_from(["a", "b"])),
        st.tuples(st.just("set_back"), st.floats(0, 1), st.sampled_from(["a", "b"])),
    ),
    min_size=5,
    max_size=25,
)


class Play:
    """Does to a log what it is told, and keeps its own account of what each group has not ended."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._appended: list[EntryId] = []
        self._unended: dict[str, set[EntryId]] = {}
        self._given: dict[str, set[EntryId]] = {}
        self._removed = 0

    async def run(self, actions: list[tuple[Any, ...]]) -> None:
        for name, *arguments in [*actions, ("trim",)]:
            await getattr(self, f"_{name}")(*arguments)
            left = set(await there(self._log))
            for group, unended in self._unended.items():
                assert unended <= left, f"{group} lost entries at {name}"
            assert len(self._appended) - len(left) == self._removed

    async def _append(self, count: int) -> None:
        at = len(self._appended)
        await add_old(self._log, count, at)
        new = {old_id(number) for number in range(at, at + count)}
        self._appended += sorted(new)
        for unended in self._unended.values():
            unended.update(new)

    async def _create(self, place: float, group: str) -> None:
        left = await there(self._log)
        if group in self._unended or not left:
            return
        start = left[int(place * (len(left) - 1))]
        await create(self._log, group, str(start))
        self._unended[group] = {one for one in left if one > start}
        self._given[group] = set()

    async def _set_back(self, place: float, group: str) -> None:
        left = await there(self._log)
        if group not in self._unended or not left:
            return
        to = left[int(place * (len(left) - 1))]
        stream = self._log.keys.events(0)
        await self._log.server.client.call("XGROUP", "SETID", stream, group, str(to))
        self._unended[group] = {one for one in left if one > to} | self._given[group]

    async def _read(self, count: int, group: str) -> None:
        if group in self._unended:
            self._given[group] |= set(await read(self._log, group, count))

    async def _end(self, share: float, group: str) -> None:
        given = sorted(self._given.get(group, ()))
        ended = set(given[:: max(1, round(1 / max(share, 0.01)))])
        if ended:
            await acknowledge(self._log, group, *ended)
            self._given[group] -= ended
            self._unended[group] -= ended

    async def _claim(self, count: int, group: str) -> None:
        some = sorted(self._given.get(group, ()))[:count]
        if some:
            stream = self._log.keys.events(0)
            claim = ("XCLAIM", stream, group, "c-2", 0, *map(str, some))
            await self._log.server.client.call(*claim)

    async def _trim(self) -> None:
        self._removed += sum(step.removed for step in await trim(self._log))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ACTIONS)
def test_no_interleaving_cuts_what_a_group_has_not_ended(
    redis_url: str, actions: list[tuple[Any, ...]]
) -> None:
    async def play() -> None:
        async with open_log(redis_url, namespace=f"law-{uuid4().hex[:12]}") as log:
            await Play(log).run(actions)

    anyio.run(play)
