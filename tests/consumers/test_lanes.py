"""Which entry is tried next: a law over random histories, and what suspects cost the others."""

from collections import Counter
from time import monotonic
from uuid import UUID

import pytest
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


def lanes_of(concurrency: int, *entries: EntryInHand, alone_s: float = 60.0) -> Lanes:
    lanes = Lanes(concurrency, alone_s)
    for one in entries:
        lanes.add(one)
    return lanes


def begun(lanes: Lanes) -> list[EntryInHand]:
    """Begin as many tries as may begin now."""
    return list(iter(lanes.next, None))


def numbers(entries: list[EntryInHand]) -> list[int]:
    return [one.entry_id.seq for one in entries]


class Trying:
    """Tries what lanes let begin, and sees that they let nothing begin that must wait."""

    def __init__(self, concurrency: int, failures: dict[int, int]) -> None:
        self.lanes = Lanes(concurrency, alone_s=3_600.0)
        self.tried: list[EntryInHand] = []
        self.running: list[EntryInHand] = []
        self._concurrency = concurrency
        self._failures = failures

    def begin(self) -> None:
        for one in begun(self.lanes):
            assert one.endpoint_id not in {other.endpoint_id for other in self.running}
            for suspect in (one, *self.running):
                assert not (suspect.unseen and not suspect.failures and self.running)
            self.running.append(one)
            self.tried.append(one)
        assert len(self.running) == self.lanes.running <= self._concurrency

    def end(self, place: int) -> None:
        one = self.running.pop(place % len(self.running))
        if self._failures[one.entry_id.seq]:
            self._failures[one.entry_id.seq] -= 1
            one.failures += 1
            self.lanes.put_off(one)
        else:
            self.lanes.end(one)


one_entry = st.tuples(
    st.sampled_from([A, B, C]),
    st.integers(0, 3),  # how often it fails
    st.integers(0, 1),  # whether a try of it ever came to no end
)


@settings(deadline=None, max_examples=examples(150))
@given(
    entries=st.lists(one_entry, max_size=20),
    concurrency=st.integers(1, 4),
    choices=st.lists(st.integers(0, 7), max_size=60),  # what happens next: comes, begins, ends
)
def test_any_durations_and_failures_leave_the_order_of_an_endpoint(
    entries: list[tuple[UUID, int, int]], concurrency: int, choices: list[int]
) -> None:
    coming = iter([held(one, n, begun=unseen) for n, (one, _, unseen) in enumerate(entries)])
    left = {number: failures for number, (_, failures, _) in enumerate(entries)}
    lanes = Trying(concurrency, left)
    for choice in choices:
        if choice < 3 and (one := next(coming, None)) is not None:
            lanes.lanes.add(one)
        elif lanes.running:
            lanes.end(choice)
        lanes.begin()
    for one in coming:
        lanes.lanes.add(one)
    lanes.begin()
    while lanes.running:
        lanes.end(0)
        lanes.begin()
    for endpoint_id in (A, B, C):
        expected = [
            number
            for number, (of, failures, _) in enumerate(entries)
            for _ in range(failures + 1)
            if of == endpoint_id
        ]
        assert numbers([one for one in lanes.tried if one.endpoint_id == endpoint_id]) == expected


def test_endpoints_have_their_turns_one_after_another() -> None:
    entries = [held(A, 0), held(A, 1), held(A, 2), held(B, 3), held(B, 4), held(C, 5)]
    lanes = lanes_of(1, *entries)
    turns = []
    while (one := lanes.next()) is not None:
        turns.append(one)
        lanes.end(one)
    assert numbers(turns) == [0, 3, 5, 1, 4, 2]


def test_an_entry_that_waits_for_its_next_try_holds_up_only_its_own_lane() -> None:
    lanes = lanes_of(1, held(A, 0), held(A, 1), held(B, 2), held(B, 3))
    [first] = begun(lanes)
    first.due_at, first.failures = monotonic() + 3_600.0, 1
    lanes.put_off(first)
    turns = []
    while (one := lanes.next()) is not None:
        turns.append(one)
        lanes.end(one)
    assert numbers(turns) == [2, 3]
    left_s = lanes.next_s()
    assert left_s is not None
    assert 3_500.0 < left_s <= 3_600.0


async def test_an_entry_whose_time_has_not_come_waits_for_it() -> None:
    due_at = monotonic() + 0.2
    lanes = lanes_of(1, held(A, 0, due_at=due_at))
    assert begun(lanes) == []
    await wait_until(lambda: bool(begun(lanes)), "the try")
    assert monotonic() >= due_at


def test_after_a_stop_no_try_begins() -> None:
    lanes = lanes_of(1, held(A, 0), held(B, 1))
    [first] = begun(lanes)
    lanes.stop()
    lanes.end(first)
    assert begun(lanes) == []
    assert lanes.running == 0


def test_a_suspect_waits_for_the_tries_that_run_and_holds_up_those_that_do_not() -> None:
    lanes = lanes_of(3, held(A, 0))
    [running] = begun(lanes)
    lanes.add(held(B, 1, begun=1))
    lanes.add(held(C, 2))
    assert begun(lanes) == []
    lanes.end(running)
    [suspect] = begun(lanes)
    assert numbers([suspect]) == [1]
    lanes.end(suspect)
    assert numbers(begun(lanes)) == [2]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """A clock that goes on when the test says so."""
    time: Counter[str] = Counter()
    monkeypatch.setattr("consumers.handlers.lanes.monotonic", lambda: 1_000.0 + time["ms"] / 1_000)
    return time


def test_a_suspect_is_alone_for_a_while_only_and_waits_no_longer_for_it(
    clock: Counter[str],
) -> None:
    lanes = lanes_of(4, held(A, 0), alone_s=0.25)
    assert numbers(begun(lanes)) == [0]
    lanes.add(held(B, 1, begun=1))
    assert begun(lanes) == []
    assert lanes.next_s() == pytest.approx(0.25)
    clock["ms"] += 250
    assert numbers(begun(lanes)) == [1]
    lanes.add(held(C, 2))
    assert begun(lanes) == []
    assert lanes.next_s() == pytest.approx(0.25)
    clock["ms"] += 250
    assert numbers(begun(lanes)) == [2]


def test_what_becomes_due_after_a_look_is_not_slept_through(clock: Counter[str]) -> None:
    lanes = lanes_of(1, held(A, 0, due_at=1_000.01))
    assert begun(lanes) == []
    clock["ms"] += 20
    assert lanes.next_s() is not None
    assert numbers(begun(lanes)) == [0]


def test_many_suspects_hold_up_the_others_no_longer_than_one(clock: Counter[str]) -> None:
    suspects = [held(UUID(int=number), number, begun=1) for number in range(101, 150)]
    lanes = lanes_of(100, *suspects, held(A, 99), alone_s=0.25)
    waited = 0
    while not (found := begun(lanes)) or found[-1].endpoint_id != A:
        clock["ms"] += 10
        waited += 10
    assert waited <= 500


def test_a_lane_that_waits_is_released_with_its_entries_and_can_begin_again() -> None:
    lanes = lanes_of(2, held(A, 0), held(A, 1), held(B, 2))
    first, other = begun(lanes)
    first.due_at, first.failures = monotonic() + 3_600.0, 1
    lanes.put_off(first)
    lanes.end(other)
    assert lanes.waiting(1.0) == [A]
    released = list(lanes.release(A))
    assert numbers(released) == [0, 1]
    assert lanes.waiting(1.0) == []
    for one in released:
        one.due_at = 0.0
        lanes.add(one)
    [again] = begun(lanes)
    lanes.end(again)
    assert numbers([again, *begun(lanes)]) == [0, 1]
