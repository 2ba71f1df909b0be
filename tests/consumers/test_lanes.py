from collections import Counter
from uuid import UUID

import anyio
import anyio.lowlevel
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.handlers.entry_in_hand import EntryInHand
from consumers.handlers.lanes import Lanes
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from tests.support.laws import examples
from tests.support.waiting import wait_until

A, B, C = UUID(int=0xA), UUID(int=0xB), UUID(int=0xC)


def held(number: int, **tries: float) -> EntryInHand:
    one = EntryInHand(Entry(EntryId(1, number), 0, {}))
    for field, value in tries.items():
        setattr(one, field, value)
    return one


def number_of(one: EntryInHand) -> int:
    return one.entry_id.seq


async def turns(count: int) -> None:
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


one_entry = st.tuples(
    st.sampled_from([A, B, C]),
    st.integers(0, 6),  # how long each try takes, in turns of the loop
    st.integers(0, 3),  # how often it fails
    st.integers(0, 1),  # whether a try of it ever came to no end
    st.integers(0, 4),  # how long it takes until it comes, in turns of the loop
)


@settings(deadline=None, max_examples=examples(150))
@given(entries=st.lists(one_entry, max_size=20), concurrency=st.integers(1, 4))
def test_any_durations_and_failures_leave_the_order_of_an_endpoint(
    entries: list[tuple[UUID, int, int, int, int]], concurrency: int
) -> None:
    begun: list[tuple[UUID, int]] = []
    running: Counter[UUID] = Counter()
    tries = sum(failures + 1 for _, _, failures, _, _ in entries)
    left = {number: failures for number, (_, _, failures, _, _) in enumerate(entries)}

    async def attempt(one: EntryInHand) -> float | None:
        endpoint_id, lasts, *_ = entries[number_of(one)]
        begun.append((endpoint_id, number_of(one)))
        assert not running[endpoint_id]
        assert running.total() < concurrency
        if entries[number_of(one)][3] and not one.failures:
            assert not running.total(), "it may kill its process"
        running[endpoint_id] += 1
        await turns(lasts)
        running[endpoint_id] -= 1
        if not left[number_of(one)]:
            return None
        left[number_of(one)] -= 1
        one.failures += 1
        return 0.0

    async def run() -> None:
        async with Lanes.open(attempt, concurrency) as lanes:
            for number, (endpoint_id, _, _, unseen, comes_after) in enumerate(entries):
                await turns(comes_after)
                lanes.add(endpoint_id, held(number, begun=unseen))
            while len(begun) < tries or running.total():
                await turns(1)

    anyio.run(run)
    for endpoint_id in (A, B, C):
        expected = [
            number
            for number, (of, _, failures, _, _) in enumerate(entries)
            for _ in range(failures + 1)
            if of == endpoint_id
        ]
        assert [number for of, number in begun if of == endpoint_id] == expected


async def test_an_entry_that_waits_for_its_next_try_holds_up_only_its_own_lane() -> None:
    begun: list[int] = []

    async def attempt(one: EntryInHand) -> float | None:
        begun.append(number_of(one))
        return 3_600.0 if number_of(one) == 0 else None

    async with Lanes.open(attempt, 1) as lanes:
        lanes.add(A, held(0))
        lanes.add(A, held(1))
        for number in range(2, 8):
            lanes.add(B, held(number))
        await wait_until(lambda: len(begun) >= 7, "all of the other endpoint")

    assert begun == [0, 2, 3, 4, 5, 6, 7]


async def test_an_entry_whose_time_has_not_come_waits_for_it() -> None:
    began_at = 0.0

    async def attempt(_: EntryInHand) -> None:
        nonlocal began_at
        began_at = anyio.current_time()

    start = anyio.current_time()
    async with Lanes.open(attempt, 1) as lanes:
        lanes.add(A, held(0, after_s=0.2))
        await wait_until(lambda: bool(began_at), "the try")
    assert began_at - start >= 0.19


async def test_a_stop_finishes_the_tries_that_run_and_begins_none() -> None:
    begun: list[int] = []
    ended: list[int] = []
    go_on = anyio.Event()

    async def attempt(one: EntryInHand) -> None:
        begun.append(number_of(one))
        await go_on.wait()
        ended.append(number_of(one))

    async with Lanes.open(attempt, 2) as lanes:
        for number, endpoint_id in enumerate((A, B, C, A)):
            lanes.add(endpoint_id, held(number))
        await wait_until(lambda: len(begun) == 2, "two tries run")
        lanes.stop()
        go_on.set()

    assert begun == [0, 1]
    assert ended == [0, 1]


async def test_a_suspect_waits_for_the_tries_that_run_and_holds_up_those_that_do_not() -> None:
    running: set[int] = set()
    beside: list[set[int]] = []
    go_on = anyio.Event()

    async def attempt(one: EntryInHand) -> None:
        if one.unseen:
            beside.append(set(running))
        running.add(number_of(one))
        if number_of(one) == 0:
            await go_on.wait()
        running.discard(number_of(one))

    async with Lanes.open(attempt, 3) as lanes:
        lanes.add(A, held(0))
        await wait_until(lambda: running == {0}, "a try runs")
        lanes.add(B, held(1, begun=1))
        lanes.add(C, held(2))
        await turns(20)
        assert beside == []
        go_on.set()
        await wait_until(lambda: bool(beside), "the suspect is tried")
    assert beside == [set()]
