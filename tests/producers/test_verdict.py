from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue.health_check import HealthCheck
from producers.checker.probe_result import ProbeResult
from producers.checker.verdict import (
    CheckState,
    ObservedTransition,
    VerdictSettings,
    judge,
)
from projections.route_table.route import Health

WELL = ProbeResult(success=True)
ILL = ProbeResult(success=False, reason="HTTP 500, expected 200")
CHECK = HealthCheck(path="/health", max_retries=3, initial_delay=60.0)
STARTED_S = 1_000.0
AFTER_GRACE_S = STARTED_S + 60.0
STEADY = VerdictSettings(flapping_changes_max=1_000_000)

outcomes = st.lists(st.booleans().map(lambda success: WELL if success else ILL), max_size=60)
healths = st.sampled_from(["not_checked", "healthy", "unhealthy", "degraded"])


def judged(
    state: CheckState,
    results: Iterable[ProbeResult],
    *,
    from_s: float = AFTER_GRACE_S,
    every_s: float = 10.0,
    settings: VerdictSettings = STEADY,
) -> tuple[CheckState, list[ObservedTransition]]:
    """Judge one result after the other, *every_s* apart."""
    transitions = []
    for number, result in enumerate(results):
        now_s = from_s + number * every_s
        state, transition = judge(state, result, now_s, STARTED_S, CHECK, settings=settings)
        transitions += [transition] if transition else []
    return state, transitions


@pytest.mark.parametrize(
    ("health", "results", "becomes"),
    [
        ("not_checked", [WELL], ["healthy"]),
        ("not_checked", [ILL, ILL], []),
        ("not_checked", [ILL, ILL, ILL], ["unhealthy"]),
        ("not_checked", [ILL, ILL, WELL], ["healthy"]),
        ("healthy", [WELL, WELL], []),
        ("healthy", [ILL, ILL, WELL, ILL, ILL], []),
        ("healthy", [ILL, ILL, ILL], ["unhealthy"]),
        ("healthy", [ILL, ILL, ILL, ILL, ILL, ILL], ["unhealthy"]),
        ("unhealthy", [ILL, ILL, ILL, ILL], []),
        ("unhealthy", [WELL], ["healthy"]),
        ("unhealthy", [WELL, ILL, ILL, ILL, WELL], ["healthy", "unhealthy", "healthy"]),
        ("degraded", [WELL], ["healthy"]),
        ("degraded", [ILL, ILL, ILL], ["unhealthy"]),
    ],
)
def test_given_a_recorded_health_when_probed_then_only_changes_are_transitions(
    health: Health, results: list[ProbeResult], becomes: list[str]
) -> None:
    state, transitions = judged(CheckState(health=health), results)
    assert [transition.new_status for transition in transitions] == becomes
    assert state.health == (becomes[-1] if becomes else health)


def test_a_first_success_makes_a_route_healthy_at_once() -> None:
    _, transitions = judged(CheckState(), [WELL], from_s=STARTED_S)
    assert transitions == [ObservedTransition("healthy", "first success", 0, STARTED_S)]


def test_a_transition_says_why_and_after_how_many_failures() -> None:
    _, transitions = judged(CheckState(), [ILL, ILL, ILL])
    assert transitions == [
        ObservedTransition("unhealthy", "HTTP 500, expected 200", 3, AFTER_GRACE_S + 20.0)
    ]


def test_failures_within_the_grace_do_not_count() -> None:
    state, transitions = judged(CheckState(), [ILL] * 100, from_s=STARTED_S, every_s=0.5)
    assert (state.failures, transitions) == (0, [])


def test_the_grace_ends_when_its_time_has_passed() -> None:
    state, _ = judge(CheckState(), ILL, AFTER_GRACE_S - 0.001, STARTED_S, CHECK)
    assert state.failures == 0
    state, _ = judge(CheckState(), ILL, AFTER_GRACE_S, STARTED_S, CHECK)
    assert state.failures == 1


def test_without_an_initial_delay_the_grace_is_the_default() -> None:
    check = HealthCheck(path="/health", max_retries=1)
    _, transition = judge(CheckState(), ILL, STARTED_S + 59.9, STARTED_S, check)
    assert transition is None
    _, transition = judge(CheckState(), ILL, STARTED_S + 60.0, STARTED_S, check)
    assert transition is not None


def test_a_failure_within_the_grace_ends_a_row_of_successes() -> None:
    state, _ = judged(CheckState(), [WELL, WELL, ILL], from_s=STARTED_S)
    assert state.successes == 0


FLAPPING = VerdictSettings(
    flapping_window_s=600.0, flapping_changes_max=3, flapping_successes_min=4
)
CYCLE = [WELL, ILL, ILL, ILL]


def flapping_state() -> CheckState:
    state, transitions = judged(CheckState(), CYCLE * 2, settings=FLAPPING)
    assert len(transitions) == 4
    assert (state.flapping, state.health) == (True, "unhealthy")
    return state


def test_a_route_that_changes_up_to_the_bound_does_not_flap() -> None:
    state, transitions = judged(CheckState(), [*CYCLE, WELL], settings=FLAPPING)
    assert (len(transitions), state.flapping) == (3, False)


def test_changes_longer_ago_than_the_window_do_not_count() -> None:
    state, _ = judged(CheckState(), CYCLE * 10, every_s=200.0, settings=FLAPPING)
    assert not state.flapping


def test_a_flapping_route_needs_several_successes_in_a_row() -> None:
    begin_s = AFTER_GRACE_S + 100.0
    _, none_yet = judged(
        flapping_state(), [WELL, WELL, WELL, ILL] * 5, from_s=begin_s, settings=FLAPPING
    )
    assert none_yet == []
    _, at_last = judged(flapping_state(), [WELL] * 4, from_s=begin_s, settings=FLAPPING)
    assert [transition.reason for transition in at_last] == ["4 successes in a row"]


def test_an_episode_of_flapping_ends_when_the_route_was_healthy_for_a_whole_window() -> None:
    begin_s = AFTER_GRACE_S + 100.0
    state, _ = judged(flapping_state(), [WELL] * 60, from_s=begin_s, settings=FLAPPING)
    assert state.flapping
    state, _ = judged(state, [WELL] * 5, from_s=begin_s + 600.0, settings=FLAPPING)
    assert not state.flapping


def test_an_unhealthy_route_goes_on_flapping_however_long() -> None:
    state, _ = judged(flapping_state(), [ILL] * 500, settings=FLAPPING)
    assert state.flapping


@pytest.mark.parametrize(
    "field", ["flapping_window_s", "flapping_changes_max", "flapping_successes_min"]
)
def test_a_bound_that_is_not_positive_is_refused_by_its_name(field: str) -> None:
    with pytest.raises(ValueError, match=rf"{field} must be at least \d\S*, got 0"):
        VerdictSettings(**{field: 0})


@given(outcomes, healths)
def test_law_fewer_failures_in_a_row_than_max_retries_never_make_unhealthy(
    results: list[ProbeResult], health: Health
) -> None:
    interrupted = [
        result
        for number, result in enumerate(results)
        for result in ([WELL, result] if number % (CHECK.max_retries - 1) == 0 else [result])
    ]
    _, transitions = judged(CheckState(health=health), interrupted)
    assert "unhealthy" not in {transition.new_status for transition in transitions}


@given(outcomes, healths)
def test_law_transitions_alternate_and_the_state_follows_them(
    results: list[ProbeResult], health: Health
) -> None:
    state, transitions = judged(CheckState(health=health), results, settings=FLAPPING)
    statuses = [health, *(transition.new_status for transition in transitions)]
    assert all(before != after for before, after in pairwise(statuses))
    assert state.health == statuses[-1]


@given(outcomes, healths)
def test_law_a_restart_at_any_point_records_nothing_of_its_own(
    results: list[ProbeResult], health: Health
) -> None:
    before, _ = judged(CheckState(health=health), results)
    agreeing = [WELL if before.health == "healthy" else ILL] * 2
    _, transitions = judged(CheckState(health=before.health), agreeing)
    assert transitions == []


@given(outcomes)
def test_law_a_route_that_does_not_flap_is_as_healthy_as_its_last_results(
    results: list[ProbeResult],
) -> None:
    state, _ = judged(CheckState(), [*results, WELL])
    assert state.health == "healthy"
    state, _ = judged(CheckState(), [*results, ILL, ILL, ILL])
    assert state.health == "unhealthy"


@given(outcomes, st.floats(min_value=0.1, max_value=1_000))
def test_law_a_flapping_route_becomes_healthy_only_after_enough_successes(
    results: list[ProbeResult], every_s: float
) -> None:
    state, in_a_row = CheckState(), 0
    for number, result in enumerate(results):
        flapping, now_s = state.flapping, AFTER_GRACE_S + number * every_s
        state, transition = judge(state, result, now_s, STARTED_S, CHECK, settings=FLAPPING)
        in_a_row = in_a_row + 1 if result.success else 0
        if flapping and transition and transition.new_status == "healthy":
            assert in_a_row >= FLAPPING.flapping_successes_min
        assert len(state.changed_at) <= FLAPPING.flapping_changes_max + 1
