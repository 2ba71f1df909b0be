"""Measure for how long a health checker itself stood still: that time says nothing of a route."""

import time

import anyio

from events.structured_logger import structured_logger
from producers.checker.probe_result import ProbeResult

_log = structured_logger(__name__)

TICK_S = 0.05
"""Seconds between two looks at the clock."""

TOLD_S = 0.5
"""A stall of so many seconds is logged; a busy machine has shorter ones all the time."""

STALLED_PART_MAX = 0.1
"""The part of a probe's time in which the checker may stand still: a late answer still counts."""

# Where there is one, a clock that also counts the time in which the machine sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def seconds() -> float:
    """Return the seconds of a clock that nobody sets, and that counts the machine's sleep."""
    return time.clock_gettime(_CLOCK)


class StallClock:
    """Adds up the time in which this process did not run: stopped, asleep, or too busy."""

    def __init__(self) -> None:
        self._stalled_s = 0.0
        self._ticked_at: float | None = None

    @property
    def stalled_s(self) -> float:
        """Seconds of all stalls so far, one that has just ended among them."""
        return self._stalled_s + self._late_s()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self._tick()
            await anyio.sleep(TICK_S)

    def _tick(self) -> None:
        late_s = self._late_s()
        self._stalled_s += late_s
        self._ticked_at = seconds()
        if late_s >= TOLD_S:
            _log.warning("checker_stalled", stalled_s=round(late_s, 3))

    def _late_s(self) -> float:
        if self._ticked_at is None:
            return 0.0
        return max(0.0, seconds() - self._ticked_at - TICK_S)


def is_void(result: ProbeResult, stalled_s: float, max_wait_s: float) -> bool:
    """Whether a probe failed by the checker's own fault: it stood still, or lacked something."""
    if result.failed_here:
        return True
    return result.is_late and stalled_s > STALLED_PART_MAX * max_wait_s
