"""Judge from a probe's result whether a route's health changes."""

from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus
from events.limits import Limited
from producers.checker.deep.deep_state import DeepState
from producers.checker.probe_result import ProbeResult
from projections.route_table.route import Health


class VerdictSettings(Limited, frozen=True):
    """When a route flaps, and what it must do to be called healthy again.

    Attributes:
        flapping_window_s: The time in which changes are counted.
        flapping_changes_max: Changes within that time up to which a route does not flap.
        flapping_successes_min: Successes in a row that make a flapping route healthy.
    """

    flapping_window_s: Annotated[float, Meta(ge=0.1, le=604_800)] = 600.0
    flapping_changes_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 5
    flapping_successes_min: Annotated[int, Meta(ge=1, le=1_000)] = 5


DEFAULT_SETTINGS = VerdictSettings()


class ObservedTransition(msgspec.Struct, frozen=True):
    """A route has become healthy or unhealthy; *observed_s* is in seconds since 1970."""

    new_status: ModelServiceStatus
    reason: str
    consecutive_failures: int
    observed_s: float


class CheckState(msgspec.Struct, frozen=True, kw_only=True):
    """What a checker remembers of a route's probes.

    Attributes:
        health: The route's health after the last transition, or as it was recorded.
        failures: Failures in a row; those within the grace do not count.
        successes: Successes in a row.
        changed_at: The times of its newest transitions, in seconds since 1970, oldest first.
        flapping: Whether it changed too often, and has not stayed healthy for the window since.
    """

    health: Health = "not_checked"
    failures: int = 0
    successes: int = 0
    changed_at: tuple[float, ...] = ()
    flapping: bool = False


def judge(
    state: CheckState,
    result: ProbeResult,
    now_s: float,
    started_s: float,
    health_check: HealthCheck,
    *,
    settings: VerdictSettings = DEFAULT_SETTINGS,
) -> tuple[CheckState, ObservedTransition | None]:
    """Return the route's check state after one more probe, and its transition, if any.

    The first success makes a route healthy, `max_retries` failures in a row make it unhealthy. A
    flapping route needs `flapping_successes_min` successes in a row.

    Args:
        state: The check state before the probe.
        result: How the probe ended.
        now_s: When it ended, in seconds since 1970.
        started_s: When the route started, and its grace began, in seconds since 1970.
        health_check: How the endpoint's routes are checked.
        settings: When a route flaps.
    """
    forgiven = in_grace(state, now_s - started_s, health_check)
    counted = _counted(state, result, in_grace=forgiven)
    new_status = _new_status(counted, health_check, settings)
    if new_status is None:
        return _calmed(counted, now_s, settings), None
    return _changed(counted, new_status, now_s, settings), ObservedTransition(
        new_status, _reason(counted, result), counted.failures, now_s
    )


def judge_withheld(
    state: CheckState,
    deep: DeepState,
    now_s: float,
    health_check: HealthCheck,
    *,
    settings: VerdictSettings = DEFAULT_SETTINGS,
) -> tuple[CheckState, ObservedTransition | None]:
    """Return the check state after a success that does not count: deep checks have not passed.

    Once enough of them have failed in a row the route is unhealthy, for their reason.
    """
    counted = replace(state, failures=0, successes=0)
    enough = 1 if health_check.deep is None else health_check.deep.max_retries
    if deep.failures < enough or state.health == "unhealthy":
        return counted, None
    return _changed(counted, "unhealthy", now_s, settings), ObservedTransition(
        "unhealthy", deep.reason or "deep check", deep.failures, now_s
    )


def in_grace(state: CheckState, age_s: float, health_check: HealthCheck) -> bool:
    """Whether failures of a route that started *age_s* seconds ago do not count.

    A route that warms up, which means that it was neither healthy nor unhealthy since its start,
    has the time for that, too: it is not called unhealthy while it loads its model.
    """
    grace_s = health_check.grace_s
    if state.health == "not_checked" and health_check.warm_up_time is not None:
        grace_s = max(grace_s, health_check.warm_up_time)
    return age_s < grace_s


def _counted(state: CheckState, result: ProbeResult, *, in_grace: bool) -> CheckState:
    if result.success:
        return replace(state, failures=0, successes=state.successes + 1)
    return replace(state, failures=state.failures + (not in_grace), successes=0)


def _new_status(
    state: CheckState, health_check: HealthCheck, settings: VerdictSettings
) -> ModelServiceStatus | None:
    successes_min = settings.flapping_successes_min if state.flapping else 1
    if state.health != "healthy" and state.successes >= successes_min:
        return "healthy"
    if state.health != "unhealthy" and state.failures >= health_check.max_retries:
        return "unhealthy"
    return None


def _calmed(state: CheckState, now_s: float, settings: VerdictSettings) -> CheckState:
    """End the flapping of a route that has been healthy for the whole window."""
    stable = state.flapping and state.health == "healthy"
    if stable and now_s - state.changed_at[-1] >= settings.flapping_window_s:
        return replace(state, flapping=False, changed_at=())
    return state


def _changed(
    state: CheckState, new_status: ModelServiceStatus, now_s: float, settings: VerdictSettings
) -> CheckState:
    within = [at for at in state.changed_at if now_s - at < settings.flapping_window_s]
    changed_at = (*within[-settings.flapping_changes_max :], now_s)
    flapping = state.flapping or len(changed_at) > settings.flapping_changes_max
    return replace(state, health=new_status, changed_at=changed_at, flapping=flapping)


def _reason(state: CheckState, result: ProbeResult) -> str:
    if result.success:
        return f"{state.successes} successes in a row" if state.flapping else "first success"
    return result.reason or "no success"
