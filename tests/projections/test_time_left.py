"""How long a rebuild still takes, told from how long what is done of it took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.cli.replay.progress import TimeLeft
from projections.replay.rebuild import Phase

ENTRY_S = 0.001
"""Seconds to read an entry; what else there is to do takes a multiple, as it does in a rebuild."""


class Clock:
    """Seconds that pass as a test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(
    entries=st.integers(1, 10**6),
    held=st.integers(0, 10**5),
    documents=st.integers(1, 10**5),
    compares=st.booleans(),
    share=st.floats(0.01, 1.0),
)
def test_where_work_takes_what_it_usually_takes_the_time_left_is_right_in_every_phase(
    *, entries: int, held: int, documents: int, compares: bool, share: float
) -> None:
    clock = Clock()
    time_left = TimeLeft(documents, compares=compares, clock=clock)
    write_s, compare_s = documents * 3 * ENTRY_S, documents * (6 if compares else 0) * ENTRY_S

    done = max(1, int(share * entries))
    clock.now += done * ENTRY_S
    fold_left_s = (entries - done + 3 * held) * ENTRY_S
    assert time_left.left_s("fold", done, entries, held) == pytest.approx(
        fold_left_s + write_s + compare_s
    )
    clock.now += fold_left_s
    written = max(1, int(share * documents))
    clock.now += written * 3 * ENTRY_S
    rest_s = (documents - written) * 3 * ENTRY_S
    assert time_left.left_s("write", written, documents) == pytest.approx(rest_s + compare_s)
    clock.now += rest_s
    if compares:
        clock.now += written * 6 * ENTRY_S
        assert time_left.left_s("compare", written, documents) == pytest.approx(
            (documents - written) * 6 * ENTRY_S
        )
    assert time_left.left_s("swap", 0, 0) == 0.0


def test_before_anything_is_done_nothing_is_known() -> None:
    assert TimeLeft(10, compares=True).left_s("fold", 0, 1_000) is None


@pytest.mark.parametrize("phase", ["fold", "write", "compare", "swap"])
def test_more_than_was_expected_leaves_no_time_below_zero(phase: Phase) -> None:
    clock = Clock()
    time_left = TimeLeft(0, compares=False, clock=clock)
    clock.now += 1.0
    assert time_left.left_s(phase, 20, 10) == 0.0


def test_a_machine_that_gets_slower_is_believed_more_the_longer_it_lasts() -> None:
    clock = Clock()
    time_left = TimeLeft(0, compares=False, clock=clock)
    told = {}
    for done in range(100, 1_100, 100):
        clock.now += 100 * (ENTRY_S if done <= 200 else 4 * ENTRY_S)
        told[done] = time_left.left_s("fold", done, 1_000)
    assert told[200] == pytest.approx(0.8)
    assert told[600] == pytest.approx(400 * 1.8 / 600)
    assert told[1_000] == 0.0
