"""Run the deep checks of watched routes, each after a cheap probe of it that succeeded."""

from collections import Counter
from collections.abc import Awaitable, Callable
from uuid import UUID

import anyio
from anyio.abc import TaskGroup

from producers.checker.deep.deep_probe import deep_probe
from producers.checker.deep.deep_progress import DeepProgress
from producers.checker.deep.deep_state import DeepState, after_deep_check
from producers.checker.probe import ProbeSession
from producers.checker.probe_result import ProbeResult
from producers.checker.schedule.probe_interval import draw
from producers.checker.schedule.stall_clock import StallClock, is_void
from producers.checker.verdict import in_grace
from producers.checker.watched_route import WatchedRoute
from projections.route_table.health_age import RouteKey

UNDER_WAY_MAX = 1_024
"""Deep checks that are under way at the same time; one more waits for a later cheap probe."""

OF_ENDPOINT_MAX = 64
"""Those of one endpoint: one whose engines all hang leaves room for others."""

JITTER = 0.1
"""The part of an interval by which it is drawn longer or shorter."""

HasTraffic = Callable[[RouteKey, float], Awaitable[bool]]
"""Whether users' requests to the route succeeded within so many seconds, and none failed since."""


async def no_traffic(_route: RouteKey, _within_s: float) -> bool:
    """Say that nothing is known of users' requests."""
    return False


class DeepChecks:
    """Asks models for a token, beside the cheap probes, which go on meanwhile."""

    def __init__(
        self,
        session: ProbeSession,
        stalls: StallClock,
        clock: Callable[[], float],
        hasten: Callable[[WatchedRoute], None],
        has_traffic: HasTraffic,
    ) -> None:
        self._session = session
        self._stalls = stalls
        self._clock = clock
        self._hasten = hasten
        self._has_traffic = has_traffic
        self._under_way: Counter[UUID] = Counter()
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Let deep checks run until cancelled."""
        async with anyio.create_task_group() as self._tasks:
            await anyio.sleep_forever()

    def follow(self, watch: WatchedRoute, result: ProbeResult) -> DeepState | None:
        """Return what deep checks say of a route after a cheap probe of it; None without any.

        One that is due begins where the probe succeeded: a model that loads is not asked.
        """
        progress = watch.deep
        if progress is None:
            return None
        endpoint_id = watch.target.endpoint_id
        has_room = (
            self._under_way[endpoint_id] < OF_ENDPOINT_MAX
            and self._under_way.total() < UNDER_WAY_MAX
        )
        if self._tasks is not None and result.success and progress.is_due and has_room:
            progress.begin()
            self._under_way[endpoint_id] += 1
            self._tasks.start_soon(self._check, watch, progress)
        return progress.state

    async def _check(self, watch: WatchedRoute, progress: DeepProgress) -> None:
        try:
            with progress.scope:
                result = await self._result(watch, progress)
                if result is not None:
                    self._conclude(watch, progress, result)
        finally:
            self._under_way[watch.target.endpoint_id] -= 1
            # A model that fails is asked at the pace of the cheap probes until it is well again.
            well = progress.state.passed and not progress.state.failures
            interval_s = progress.check.interval
            if not well:
                interval_s = min(interval_s, watch.target.health_check.interval)
            progress.end(interval_s * draw(1 - JITTER, 1 + JITTER))

    async def _result(self, watch: WatchedRoute, progress: DeepProgress) -> ProbeResult | None:
        """Return how a deep check ends, None where that says nothing of the route."""
        target, check = watch.target, progress.check
        well = progress.state.passed and not progress.state.failures
        if (
            well
            and check.traffic_window
            and await self._has_traffic(target.key, check.traffic_window)
        ):
            return ProbeResult(success=True)
        stalled_s = self._stalls.stalled_s
        result = await deep_probe(
            self._session, target.address, target.health_check, check, target.model
        )
        stalled_s = self._stalls.stalled_s - stalled_s
        return None if is_void(result, stalled_s, check.max_wait_time) else result

    def _conclude(self, watch: WatchedRoute, progress: DeepProgress, result: ProbeResult) -> None:
        before = progress.state
        age_s = self._clock() - watch.started_s
        progress.state = state = after_deep_check(
            before,
            result,
            progress.check.max_retries,
            in_grace=in_grace(watch.state, age_s, watch.target.health_check),
        )
        if not result.success:
            watch.log.warning("deep_check_failed", reason=result.reason, failures=state.failures)
        if state != before:
            self._hasten(watch)  # the next cheap probe tells what both say together
