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
from projections.route_table.route import Health, Route


class VerdictSettings(Limited, frozen=True):
    """When a route flaps, and how long it is held unhealthy then.

    A flapping route is held until it has changed no more than half as often as it may, within the
    window, and has not just begun to answer.

    Attributes:
        flapping_window_s: The time in which changes are counted.
        flapping_changes_max: Changes within that time up to which a route does not flap.
        flapping_successes_min: Successes in a row that a flapping route needs to be healthy again.
    """

    flapping_window_s: Annotated[float, Meta(ge=0.1, le=604_800)] = 600.0
    flapping_changes_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 5
    flapping_successes_min: Annotated[int, Meta(ge=1, le=1_000)] = 5


DEFAULT_SETTINGS = VerdictSettings()


class ObservedTransition(msgspec.Struct, frozen=True):
    """A route has become healthy or unhealthy, has begun to flap, or flaps no more.

    Attributes:
        new_status: Its health, as it is now told.
        reason: Why, in a few words.
        consecutive_failures: Failures in a row.
        observed_s: When that was seen, in seconds since 1970.
        flapping: Whether it flaps from now on, None where nothing has changed in that.
    """

    new_status: ModelServiceStatus
    reason: str
    consecutive_failures: int
    observed_s: float
    flapping: bool | None = None


class CheckState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a checker remembers of a route's probes.

    Attributes:
        health: The route's health after the last transition, or as it was recorded.
        failures: Failures since the last success; those within the grace do not count.
        refusals: Refused connections since then, where they are counted apart from failures.
        successes: Successes in a row.
        changed_at: The times of its newest changes, in seconds since 1970, oldest first.
        flapping: Whether it changed too often; it is told as unhealthy while it does.
    """

    health: Health = "not_checked"
    failures: int = 0
    refusals: int = 0
    successes: int = 0
    changed_at: tuple[float, ...] = ()
    flapping: bool = False

    @property
    def told(self) -> Health:
        """The health that is recorded of it."""
        return "unhealthy" if self.flapping else self.health


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

    `rise` successes in a row make a route healthy. `max_retries` failures without a success between
    them make it unhealthy; so do `refused_retries` refused connections, which count for themselves
    where that is set.

    Args:
        state: The check state before the probe.
        result: How the probe ended.
        now_s: When it ended, in seconds since 1970.
        started_s: When the route started, and its grace began, in seconds since 1970.
        health_check: How the endpoint's routes are checked.
        settings: When a route flaps.
    """
    forgiven = in_grace(state, now_s - started_s, health_check)
    after = _counted(state, result, health_check, in_grace=forgiven)
    new_status = _new_status(after, health_check)
    if new_status is None and not state.flapping:
        return after, None
    after = _changed(after, new_status, now_s)
    failures = after.failures + after.refusals
    found = ObservedTransition("unhealthy", _reason(after, result), failures, now_s)
    return _damped(state, after, found, settings)


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
    after = replace(state, failures=0, refusals=0, successes=0)
    enough = 1 if health_check.deep is None else health_check.deep.max_retries
    if deep.failures >= enough:
        after = _changed(after, "unhealthy", now_s)
    found = ObservedTransition("unhealthy", deep.reason or "deep check", deep.failures, now_s)
    return _damped(state, after, found, settings)


def taken_over(
    state: CheckState, route: Route, *, now_s: float, settings: VerdictSettings
) -> CheckState:
    """Return the check state of a route that is watched from now on, as it is recorded.

    What *state* says of its flapping is remembered. A route that was found to flap by another
    checker is held for a whole window of our own.
    """
    flapping, changed_at = state.flapping or route.flapping, state.changed_at
    if flapping and not state.flapping:
        changed_at = (now_s,) * (settings.flapping_changes_max // 2 + 1)
    return CheckState(health=route.health, changed_at=changed_at, flapping=flapping)


def in_grace(state: CheckState, age_s: float, health_check: HealthCheck) -> bool:
    """Whether failures of a route that started *age_s* seconds ago do not count.

    A route that was healthy or unhealthy since its start has none left: what has answered once and
    dies loses its traffic after `max_retries`, however young it is.
    """
    warm_up_s = health_check.warm_up_time or 0.0
    return state.health == "not_checked" and age_s < max(health_check.grace_s, warm_up_s)


def _counted(
    state: CheckState, result: ProbeResult, health_check: HealthCheck, *, in_grace: bool
) -> CheckState:
    if result.success:
        return replace(state, failures=0, refusals=0, successes=state.successes + 1)
    if in_grace:
        return replace(state, successes=0)
    if result.cause == "refused" and health_check.refused_retries is not None:
        return replace(state, refusals=state.refusals + 1, successes=0)
    return replace(state, failures=state.failures + 1, successes=0)


def _new_status(state: CheckState, health_check: HealthCheck) -> ModelServiceStatus | None:
    if state.health != "healthy" and state.successes >= health_check.rise:
        return "healthy"
    refused_retries = health_check.refused_retries
    is_refused = refused_retries is not None and state.refusals >= refused_retries
    if state.health != "unhealthy" and (is_refused or state.failures >= health_check.max_retries):
        return "unhealthy"
    return None


def _changed(state: CheckState, new_status: ModelServiceStatus | None, now_s: float) -> CheckState:
    if new_status is None or new_status == state.health:
        return state
    return replace(state, health=new_status, changed_at=(*state.changed_at, now_s))


def _damped(
    before: CheckState, after: CheckState, found: ObservedTransition, settings: VerdictSettings
) -> tuple[CheckState, ObservedTransition | None]:
    """Begin or end the flapping, and return what is to be told of it all."""
    within = [at for at in after.changed_at if found.observed_s - at < settings.flapping_window_s]
    after = replace(
        after,
        changed_at=tuple(within[-settings.flapping_changes_max - 1 :]),
        flapping=_flaps(after, len(within), settings),
    )
    if (after.told, after.flapping) == (before.told, before.flapping):
        return after, None
    if after.flapping and not before.flapping:
        reason = f"flapping: {len(within)} changes within {settings.flapping_window_s:g} s"
        found = replace(found, reason=reason)
    return after, replace(
        found,
        new_status="healthy" if after.told == "healthy" else "unhealthy",
        flapping=None if after.flapping == before.flapping else after.flapping,
    )


def _flaps(state: CheckState, changes: int, settings: VerdictSettings) -> bool:
    """Whether it flaps; two bounds keep an end from following a begin at once."""
    if not state.flapping:
        return changes > settings.flapping_changes_max
    if changes > settings.flapping_changes_max // 2:
        return True
    recovers = state.health == "healthy" and state.successes < settings.flapping_successes_min
    return recovers or state.health not in {"healthy", "unhealthy"}


def _reason(state: CheckState, result: ProbeResult) -> str:
    if not result.success:
        return result.reason or "no success"
    return "first success" if state.successes == 1 else f"{state.successes} successes in a row"
