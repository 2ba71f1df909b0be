"""Packed transitions: what plain lists of them would be."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue.model_service import ModelServiceStatus
from events.entry.entry_id import START, EntryId
from projections.health_state.transitions import TRANSITIONS_MAX, Transition, Transitions

stamps = st.builds(EntryId, st.integers(0, 3), st.integers(0, 20))


def transition(at: EntryId) -> Transition:
    """What is said at a stamp is always the same."""
    status: ModelServiceStatus = "healthy" if at.seq % 3 else "unhealthy"
    return Transition(at, status, f"reason {at.seq % 2}", at.ms)


def told(each: Sequence[EntryId]) -> list[Transition]:
    return [transition(at) for at in sorted(set(each))]


@given(st.lists(stamps, max_size=40))
def test_what_is_packed_is_read_back(each: list[EntryId]) -> None:
    packed = Transitions.of(told(each))
    assert list(packed) == told(each)
    assert len(packed) == len(told(each))
    assert packed.newest_at == max(each, default=START)


@given(st.lists(stamps, max_size=TRANSITIONS_MAX), st.lists(stamps, max_size=60))
def test_merged_are_the_newest_of_both(some: list[EntryId], others: list[EntryId]) -> None:
    before = Transitions.of(told(some))
    merged = before.merged(Transitions.of(told(others)))
    assert list(merged) == told([*some, *others])[-TRANSITIONS_MAX:]
    assert (merged is before) == (list(merged) == list(before)) or not some


@pytest.mark.parametrize("known", [0, 1, 20])
def test_of_more_than_are_kept_the_newest_are(known: int) -> None:
    each = told([EntryId(7, seq) for seq in range(known + 2 * TRANSITIONS_MAX)])
    merged = Transitions.of(each[:known]).merged(Transitions.of(each[known:]))
    assert list(merged) == each[-TRANSITIONS_MAX:]


@given(st.lists(stamps, max_size=40), stamps)
def test_a_moment_divides_them(each: list[EntryId], at: EntryId) -> None:
    packed = Transitions.of(told(each))
    assert list(packed.before(at)) == [one for one in told(each) if one.at < at]
    assert list(packed.after(at)) == [one for one in told(each) if one.at > at]


@given(st.lists(stamps, min_size=1, max_size=40), stamps)
def test_a_status_lasts_since_the_first_of_the_last_that_say_it(
    each: list[EntryId], begin: EntryId
) -> None:
    newest = told(each)[-1]
    since = newest.at
    for one in reversed(told(each)[:-1]):
        if one.new_status != newest.new_status or one.at < begin:
            break
        since = one.at
    assert Transitions.of(told(each)).status_since(begin) == since


def test_stamps_compare_as_pairs_of_integers_however_large() -> None:
    each = [EntryId(255, 2**64 - 1), EntryId(256, 0), EntryId(2**63, 1), EntryId(2**64 - 1, 0)]
    packed = Transitions()
    for at in reversed(each):
        packed = packed.merged(Transitions.of([transition(at)]))
    assert [one.at for one in packed] == each


def test_a_stamp_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no entry id"):
        Transitions.of([transition(EntryId(2**64, 0))])
