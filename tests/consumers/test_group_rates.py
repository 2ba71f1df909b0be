"""The rates of a group, from two looks at it."""

import msgspec
import pytest

from consumers.groups.rates import GroupRates, RateMeter, rates
from consumers.groups.state import GroupState

STATE = GroupState(
    group="g", partition=0, activity="working", lag=100, added=1_000, entries_read=900
)


def state(**changes: object) -> GroupState:
    return msgspec.structs.replace(STATE, lag_max=changes.get("lag", STATE.lag), **changes)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        # Of 100 left it takes 50 a second; nothing comes.
        (state(lag=50, entries_read=1_000), GroupRates(50.0, 0.0, 1.0)),
        # 40 of the 50 that it takes come anew.
        (state(lag=80, added=1_080, entries_read=1_000), GroupRates(50.0, 40.0, 8.0)),
        # More comes than it takes.
        (state(lag=200, added=1_200, entries_read=1_000), GroupRates(50.0, 100.0, None)),
        # It stands still.
        (state(), GroupRates(0.0, 0.0, None)),
        # It has caught up.
        (state(lag=0, entries_read=1_000), GroupRates(50.0, 0.0, 0.0)),
        # It was set back.
        (state(lag=900, entries_read=100), GroupRates(0.0, 0.0, None)),
        # Redis has lost count; the lag tells it.
        (state(lag=60, entries_read=None), GroupRates(20.0, 0.0, 3.0)),
        # Nobody can tell.
        (state(lag=None, entries_read=None), GroupRates(None, 0.0, None)),
        (state(activity="missing"), GroupRates()),
    ],
)
def test_how_fast_it_reads_and_when_it_will_have_caught_up(
    after: GroupState, expected: GroupRates
) -> None:
    assert rates(STATE, after, 2.0) == expected


def test_the_first_look_and_a_new_group_have_no_rates() -> None:
    meter = RateMeter()
    looked = [meter.has_looked]
    assert meter.note([STATE], 10.0) == {("g", 0): GroupRates()}
    assert [*looked, meter.has_looked] == [False, True]
    new = state(group="new")
    found = meter.note([state(lag=0, entries_read=1_000), new], 12.0)
    assert found == {("g", 0): GroupRates(50.0, 0.0, 0.0), ("new", 0): GroupRates()}


def test_without_time_between_two_looks_there_is_no_rate() -> None:
    assert rates(STATE, STATE, 0.0) == GroupRates()
