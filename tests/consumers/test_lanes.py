from collections import Counter
from time import monotonic
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

A, B, C, D = (UUID(int=number) for number in (0xA, 0xB, 0xC, 0xD))


def held(endpoint_id: UUID, number: int, **tries: float) -> EntryInHand:
    one = EntryInHand(Entry(EntryId(1, number), 0, {}), endpoint_id)
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

    async def attempt(one: EntryInHand) -> bool:
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
            return True
        left[number_of(one)] -= 1
        one.failures += 1
        return False

    async def run() -> None:
        async with Lanes.open(attempt, concurrency, alone_s=60.0) as lanes:
            for number, (endpoint_id, _, _, unseen, comes_after) in enumerate(entries):
                await turns(comes_after)
                lanes.add(held(endpoint_id, number, begun=unseen))
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

    async def attempt(one: EntryInHand) -> bool:
        begun.append(number_of(one))
        one.due_at = monotonic() + 3_600.0
        return number_of(one) != 0

    async with Lanes.open(attempt, 1) as lanes:
        lanes.add(held(A, 0))
        lanes.add(held(A, 1))
        for number in range(2, 8):
            lanes.add(held(B, number))
        await wait_until(lambda: len(begun) >= 7, "all of the other endpoint")

    assert begun == [0, 2, 3, 4, 5, 6, 7]


async def test_an_entry_whose_time_has_not_come_waits_for_it() -> None:
    began_at = 0.0

    async def attempt(_: EntryInHand) -> bool:
        nonlocal began_at
        began_at = anyio.current_time()
        return True

    start = anyio.current_time()
    async with Lanes.open(attempt, 1) as lanes:
        lanes.add(held(A, 0, due_at=monotonic() + 0.2))
        await wait_until(lambda: bool(began_at), "the try")
    assert began_at - start >= 0.19


async def test_a_stop_finishes_the_tries_that_run_and_begins_none() -> None:
    begun: list[int] = []
    ended: list[int] = []
    go_on = anyio.Event()

    async def attempt(one: EntryInHand) -> bool:
        begun.append(number_of(one))
        await go_on.wait()
        ended.append(number_of(one))
        return True

    async with Lanes.open(attempt, 2) as lanes:
        for number, endpoint_id in enumerate((A, B, C, A)):
            lanes.add(held(endpoint_id, number))
        await wait_until(lambda: len(begun) == 2, "two tries run")
        lanes.stop()
        go_on.set()

    assert begun == [0, 1]
    assert ended == [0, 1]


async def test_a_suspect_waits_for_the_tries_that_run_and_holds_up_those_that_do_not() -> None:
    running: set[int] = set()
    beside: list[set[int]] = []
    go_on = anyio.Event()

    async def attempt(one: EntryInHand) -> bool:
        if one.unseen:
            beside.append(set(running))
        running.add(number_of(one))
        if number_of(one) == 0:
            await go_on.wait()
        running.discard(number_of(one))
        return True

    async with Lanes.open(attempt, 3, alone_s=60.0) as lanes:
        lanes.add(held(A, 0))
        await wait_until(lambda: running == {0}, "a try runs")
        lanes.add(held(B, 1, begun=1))
        lanes.add(held(C, 2))
        await turns(20)
        assert beside == []
        go_on.set()
        await wait_until(lambda: bool(beside), "the suspect is tried")
    assert beside == [set()]


async def test_a_suspect_is_alone_for_a_while_only_and_waits_no_longer_for_it() -> None:
    begun: list[int] = []
    go_on = anyio.Event()

    async def attempt(one: EntryInHand) -> bool:
        begun.append(number_of(one))
        if number_of(one) != 3:
            await go_on.wait()
        return True

    async with Lanes.open(attempt, 4, alone_s=0.01) as lanes:
        lanes.add(held(A, 0))
        await wait_until(lambda: begun == [0], "a try runs")
        lanes.add(held(B, 1, begun=1))
        await wait_until(lambda: begun == [0, 1], "the suspect is tried beside it")
        lanes.add(held(C, 2, begun=1))
        lanes.add(held(D, 3))
        await wait_until(lambda: sorted(begun) == [0, 1, 2, 3], "the others are tried beside it")
        go_on.set()


async def test_a_lane_that_waits_is_released_with_its_entries_and_can_begin_again() -> None:
    begun: list[int] = []

    async def attempt(one: EntryInHand) -> bool:
        begun.append(number_of(one))
        one.due_at = monotonic() + (3_600.0 if begun == [0] else 0.0)
        return begun != [0]

    async with Lanes.open(attempt, 2) as lanes:
        for number in (0, 1):
            lanes.add(held(A, number))
        lanes.add(held(B, 2))
        await wait_until(lambda: lanes.waiting(1.0) == [A], "the first waits")
        released = lanes.release(A)
        assert [number_of(one) for one in released] == [0, 1]
        for one in released:
            one.due_at = 0.0
            lanes.add(one)
        await wait_until(lambda: len(begun) == 4, "all are tried")
    assert [number for number in begun if number != 2] == [0, 0, 1]
