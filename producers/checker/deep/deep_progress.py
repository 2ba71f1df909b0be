"""Hold how far the deep checks of one route are."""

import random

import anyio

from events.catalogue.deep_check import DeepCheck
from events.catalogue.health_check import HealthCheck
from producers.checker.deep.deep_state import DeepState

_BROUGHT_FORWARD_PART = 0.1
"""The part of an interval that lies between two deep checks at least, whatever is reported."""


class DeepProgress:
    """The deep checks of one watched route; times are the event loop's.

    Attributes:
        state: What they say.
        due_at: When the next one is due; it is sent after the next cheap probe that succeeds.
        began_at: When the newest one began.
        is_running: Whether one is under way.
        scope: Ends the one that is under way.
    """

    def __init__(self, check: DeepCheck, *, passed: bool, due_in_s: float) -> None:
        self.check = check
        self.state = DeepState(passed=passed)
        self.began_at = anyio.current_time()
        self.due_at = self.began_at + due_in_s
        self.is_running = False
        self.scope = anyio.CancelScope()

    @property
    def is_due(self) -> bool:
        """Whether one may be sent now."""
        return not self.is_running and anyio.current_time() >= self.due_at

    def begin(self) -> None:
        """Note that one begins."""
        self.is_running = True
        self.began_at = anyio.current_time()
        self.scope = anyio.CancelScope()

    def end(self, next_in_s: float) -> None:
        """Note that it has ended, and when the next one is due."""
        self.is_running = False
        self.due_at = anyio.current_time() + next_in_s

    def bring_forward(self) -> None:
        """Let the next one be due sooner: users' requests fail."""
        earliest_at = self.began_at + self.check.interval * _BROUGHT_FORWARD_PART
        self.due_at = min(self.due_at, earliest_at)


def progress_of(check: HealthCheck, *, is_healthy: bool) -> DeepProgress | None:
    """Return how far a route's deep checks are at first; None where there are none.

    A healthy route is trusted for a part of the interval: a checker that starts asks no model at
    once that another one has asked before.
    """
    if check.deep is None:
        return None
    part = random.random() if is_healthy else 0.0  # noqa: S311 - spreads load, keeps no secret
    return DeepProgress(check.deep, passed=is_healthy, due_in_s=check.deep.interval * part)
