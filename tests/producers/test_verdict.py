from collections.abc import Iterable
from itertools import pairwise, takewhile
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import START
from producers.checker.probe_result import ProbeResult
from producers.checker.verdict import (
    CheckState,
    ObservedTransition,
    VerdictSettings,
    judge,
    taken_over,
)
from projections.route_table.route import Health, unknown_route

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


def test_the_begin_of_flapping_is_told_once_and_holds_the_route_unhealthy() -> None:
    _, transitions = judged(CheckState(), CYCLE * 12, settings=FLAPPING)
    assert [one.flapping for one in transitions] == [None, None, None, True]
    assert [one.new_status for one in transitions][-2:] == ["healthy", "unhealthy"]


def test_a_route_that_begins_to_flap_by_a_success_is_told_as_unhealthy() -> None:
    three = CheckState(health="unhealthy", changed_at=(AFTER_GRACE_S,) * 3)
    state, (transition,) = judged(three, [WELL], settings=FLAPPING)
    assert (state.health, state.told) == ("healthy", "unhealthy")
    assert transition == ObservedTransition(
        "unhealthy", "flapping: 4 changes within 600 s", 0, AFTER_GRACE_S, flapping=True
    )


def test_flapping_ends_once_when_few_changes_are_left_in_the_window() -> None:
    begin_s = AFTER_GRACE_S + 100.0
    state, held = judged(flapping_state(), [WELL] * 57, from_s=begin_s, settings=FLAPPING)
    assert (held, state.health) == ([], "healthy")
    state, released = judged(state, [WELL] * 60, from_s=begin_s + 570.0, settings=FLAPPING)
    assert [(one.new_status, one.flapping) for one in released] == [("healthy", False)]
    assert state.changed_at == (begin_s,)


def test_a_flapping_route_that_has_just_begun_to_answer_is_held_on() -> None:
    long_after_s = AFTER_GRACE_S + 10_000.0
    held = CheckState(health="healthy", flapping=True, changed_at=(AFTER_GRACE_S,))
    state, transitions = judged(held, [WELL] * 3, from_s=long_after_s, settings=FLAPPING)
    assert (transitions, state.flapping) == ([], True)
    _, released = judged(state, [WELL], from_s=long_after_s, settings=FLAPPING)
    assert [one.reason for one in released] == ["4 successes in a row"]


def test_a_flapping_route_that_dies_is_unhealthy_and_flaps_no_more() -> None:
    state, transitions = judged(flapping_state(), [ILL] * 100, settings=FLAPPING)
    assert [(one.new_status, one.flapping) for one in transitions] == [("unhealthy", False)]
    assert not state.flapping


def test_a_route_that_another_checker_found_flapping_is_held_for_a_whole_window() -> None:
    route = replace(unknown_route(UUID(int=1), START), health="unhealthy", flapping=True)
    begin_s = AFTER_GRACE_S
    state = taken_over(CheckState(), route, now_s=begin_s, settings=FLAPPING)
    state, held = judged(state, [WELL] * 60, from_s=begin_s, settings=FLAPPING)
    assert held == []
    _, released = judged(state, [WELL], from_s=begin_s + 600.0, settings=FLAPPING)
    assert [(one.new_status, one.flapping) for one in released] == [("healthy", False)]


REFUSED = ProbeResult(success=False, reason="connection refused", cause="refused")
causes = st.lists(st.sampled_from([WELL, ILL, REFUSED]), max_size=40)
PATIENT = HealthCheck(path="/health", max_retries=3, refused_retries=5, rise=2, initial_delay=0)


@pytest.mark.parametrize(
    ("check", "results", "becomes"),
    [
        (replace(PATIENT, refused_retries=1), [REFUSED], ["unhealthy"]),
        (replace(PATIENT, refused_retries=1), [ILL, ILL], []),
        (PATIENT, [REFUSED] * 4, []),
        (PATIENT, [REFUSED] * 5, ["unhealthy"]),
        (PATIENT, [REFUSED, ILL] * 3, ["unhealthy"]),
        (PATIENT, [REFUSED] * 4 + [ILL] * 2, []),
        (replace(PATIENT, refused_retries=None), [REFUSED, ILL, REFUSED], ["unhealthy"]),
        (PATIENT, [ILL, ILL, WELL, ILL, ILL], []),
    ],
)
def test_given_a_refusal_and_a_timeout_when_counted_then_each_has_its_own_threshold(
    check: HealthCheck, results: list[ProbeResult], becomes: list[str]
) -> None:
    state, transitions = CheckState(health="healthy"), []
    for result in results:
        state, transition = judge(state, result, 1.0, 0.0, check, settings=STEADY)
        transitions += [transition.new_status] if transition else []
    assert transitions == becomes


def test_one_failure_alone_never_makes_a_route_unhealthy_as_ba_6343_did() -> None:
    check = HealthCheck(path="/health", initial_delay=0)
    state, transition = judge(CheckState(health="healthy"), ILL, 1.0, 0.0, check)
    assert (state.health, transition) == ("healthy", None)


def test_a_new_route_is_not_called_dead_before_its_model_is_loaded_as_ba_3137_did() -> None:
    # The grace is counted from the start of its session, not from the route's creation.
    state, transition = CheckState(), None
    for second in range(59):
        state, transition = judge(state, REFUSED, STARTED_S + second, STARTED_S, CHECK)
        assert transition is None
    assert (state.health, state.failures) == ("not_checked", 0)


def test_a_degraded_route_is_judged_as_any_other_as_ba_3255_did_not() -> None:
    state, _ = judged(CheckState(health="degraded"), [ILL] * 3)
    assert state.health == "unhealthy"
    state, _ = judged(CheckState(health="degraded"), [WELL])
    assert state.health == "healthy"


@given(causes, healths, st.integers(1, 4), st.integers(1, 5), st.none() | st.integers(1, 6))
def test_law_health_is_what_the_counts_since_the_last_success_and_failure_say(
    results: list[ProbeResult], health: Health, rise: int, fall: int, refused: int | None
) -> None:
    check = replace(PATIENT, rise=rise, max_retries=fall, refused_retries=refused)
    state, expected = CheckState(health=health), health
    for number, result in enumerate(results, start=1):
        state, _ = judge(state, result, 1.0 * number, 0.0, check, settings=STEADY)
        newest_first = results[:number][::-1]
        failed = list(takewhile(lambda one: not one.success, newest_first))
        succeeded = len(list(takewhile(lambda one: one.success, newest_first)))
        refusals = failed.count(REFUSED) if refused else 0
        if succeeded >= rise:
            expected = "healthy"
        elif len(failed) - refusals >= fall or (refused and refusals >= refused):
            expected = "unhealthy"
        assert state.health == expected


@given(causes, st.integers(1, 5))
def test_law_while_a_route_flaps_nothing_is_told_but_the_begin_and_the_end(
    results: list[ProbeResult], changes_max: int
) -> None:
    settings = VerdictSettings(
        flapping_window_s=90.0, flapping_changes_max=changes_max, flapping_successes_min=2
    )
    check = replace(CHECK, max_retries=1, initial_delay=0)
    state, told = CheckState(), []
    for number, result in enumerate(results):
        was_flapping = state.flapping
        state, transition = judge(state, result, number * 10.0, 0.0, check, settings=settings)
        if transition is not None:
            assert not was_flapping or transition.flapping is False
            told += [transition.flapping] if transition.flapping is not None else []
        assert len(state.changed_at) <= max(len(results), changes_max + 1)
    assert told == [number % 2 == 0 for number in range(len(told))]
    assert state.flapping == bool(told and told[-1])


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


@given(outcomes, st.floats(0, 0.1), st.floats(0.1, 86_400))
def test_law_what_was_healthy_since_its_start_has_no_grace_left(
    results: list[ProbeResult], every_s: float, grace_s: float
) -> None:
    check = replace(CHECK, initial_delay=grace_s)
    state, told = CheckState(), []
    for number, result in enumerate([*results, WELL, ILL, ILL, ILL]):
        now_s = STARTED_S + number * every_s
        state, transition = judge(state, result, now_s, STARTED_S, check, settings=STEADY)
        told += [transition.new_status] if transition else []
    assert told[-1] == "unhealthy"


@given(outcomes, healths)
def test_law_transitions_alternate_and_the_state_follows_them(
    results: list[ProbeResult], health: Health
) -> None:
    state, transitions = judged(CheckState(health=health), results, settings=FLAPPING)
    told = [
        (health, False),
        *((one.new_status, one.flapping) for one in transitions if one.flapping is None),
    ]
    assert all(before != after for before, after in pairwise(told))
    assert not transitions or state.told == transitions[-1].new_status


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
