"""Conclude from deep checks whether a route's model answers."""

import msgspec
from msgspec.structs import replace

from producers.checker.probe_result import ProbeResult


class DeepState(msgspec.Struct, frozen=True, gc=False):
    """What the deep checks of a route say.

    Attributes:
        passed: Whether its model counts as answering. Until it does, the successes of cheap probes
            do not make the route healthy.
        failures: Failures in a row; those within the grace do not count.
        reason: Why the newest one failed.
    """

    passed: bool
    failures: int = 0
    reason: str | None = None


def after_deep_check(
    state: DeepState, result: ProbeResult, max_retries: int, *, in_grace: bool
) -> DeepState:
    """Return the state after one more deep check.

    One success is enough; *max_retries* failures in a row are a conclusion.
    """
    if result.success:
        return DeepState(passed=True)
    failures = state.failures + (not in_grace)
    return replace(
        state,
        passed=state.passed and failures < max_retries,
        failures=failures,
        reason=f"deep check: {result.reason or 'no success'}",
    )
