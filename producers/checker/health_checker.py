"""Probe the routes of the endpoints that a checker owns, and record their transitions."""

import random
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import anyio
import msgspec
from anyio.abc import TaskGroup

from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus
from events.errors import EventsError
from events.structured_logger import structured_logger
from producers.checker.probe import Address, ProbeSession, probe
from producers.checker.probe_result import ProbeResult
from producers.checker.settings import CheckerSettings
from producers.checker.stall_clock import StallClock
from producers.checker.verdict import CheckState, ObservedTransition, judge
from producers.checker.watched_route import Target, WatchedRoute
from producers.errors import ProducersError
from projections.errors import ProjectionsError
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import RouteKey
from projections.route_table.route import Route
from projections.route_table.routing import is_reachable

_log = structured_logger(__name__)

STALLED_PART_MAX = 0.1
"""The part of a probe's time in which the checker may stand still: a late answer still counts."""


class Reader(Protocol):
    """A route table in memory that another task keeps up to date."""

    def endpoints(self) -> Iterable[Endpoint]:
        """Return every endpoint, as last known."""

    async def changed(self) -> None:
        """Wait until something has changed."""


class Recorder(Protocol):
    """Records a route's health in the log, if it is a change."""

    async def record_status(
        self,
        endpoint_id: UUID,
        route_id: UUID,
        new_status: ModelServiceStatus,
        *,
        observed_at: datetime,
        reason: str,
        consecutive_failures: int,
    ) -> object:
        """Record *new_status*, if it is a change."""


class EndpointOwnership(Protocol):
    """Which endpoints this checker owns; see `membership.Membership`."""

    def owns(self, endpoint_id: UUID) -> bool:
        """Whether this checker probes the endpoint's routes."""

    async def changed(self) -> None:
        """Wait until the owned endpoints may have changed."""


class HealthChecker:
    """Probes each reachable route of each owned endpoint that has a health check.

    Every route is probed on its own schedule. A transition stays due until it is recorded; probing
    continues while the log cannot record it.
    """

    def __init__(
        self,
        reader: Reader,
        recorder: Recorder,
        ownership: EndpointOwnership,
        session: ProbeSession,
        settings: CheckerSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reader = reader
        self._recorder = recorder
        self._ownership = ownership
        self._session = session
        self._settings = settings
        self._clock = clock
        self._stalls = StallClock()
        self._limiter = anyio.CapacityLimiter(settings.concurrency_max)
        self._noticed = anyio.Event()
        self._watches: dict[RouteKey, WatchedRoute] = {}

    @property
    def watched(self) -> int:
        """How many routes are probed now."""
        return len(self._watches)

    def probe_ages_s(self) -> dict[RouteKey, float]:
        """Return how many seconds ago the last probe of each watched route ended."""
        now = anyio.current_time()
        return {
            key: now - watch.probed_at
            for key, watch in self._watches.items()
            if watch.probed_at is not None
        }

    def last_results(self) -> dict[RouteKey, ProbeResult]:
        """Return how the last probe of each watched route ended."""
        return {
            key: watch.result for key, watch in self._watches.items() if watch.result is not None
        }

    def bring_forward(self, route: RouteKey) -> None:
        """Probe the route at once, if it is watched: at most every `reported_gap_s` seconds."""
        watch = self._watches.get(route)
        if watch is not None:
            watch.bring_forward()

    async def run(self) -> None:
        """Probe and record until cancelled."""
        _log.info("checker_started", **msgspec.to_builtins(self._settings))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stalls.run)
            for changed in (self._reader.changed, self._ownership.changed):
                tasks.start_soon(self._notice, changed)
            while True:
                await self._noticed.wait()
                self._noticed = anyio.Event()
                self._update(tasks)
                await anyio.sleep(self._settings.update_interval_s)

    async def _notice(self, changed: Callable[[], Awaitable[None]]) -> None:
        while True:
            self._noticed.set()
            await changed()

    def _update(self, tasks: TaskGroup) -> None:
        """Begin and end watches, so that exactly the wanted routes are watched."""
        wanted = self._wanted()
        for key in self._watches.keys() - wanted.keys():
            ended = self._watches.pop(key)
            ended.scope.cancel()
            ended.log.debug("route_unwatched")
        for key, (target, route) in wanted.items():
            known = self._watches.get(key)
            if known is not None and known.target == target:
                known.continue_from(route)
                continue
            if known is not None:
                known.scope.cancel()
            self._watches[key] = self._new_watch(target, route, known)
            tasks.start_soon(self._watch, self._watches[key], known is None)

    def _wanted(self) -> dict[RouteKey, tuple[Target, Route]]:
        wanted = {}
        for endpoint in self._reader.endpoints():
            check = endpoint.health_check
            if check is None or not self._ownership.owns(endpoint.endpoint_id):
                continue
            for route in endpoint.present_routes:
                address = _address(route)
                if address is not None:
                    target = Target(
                        endpoint.endpoint_id, route.route_id, address, route.started_at, check
                    )
                    wanted[target.key] = (target, route)
        return wanted

    def _new_watch(self, target: Target, route: Route, before: WatchedRoute | None) -> WatchedRoute:
        """Count from zero; whether the route flaps is remembered across its restart."""
        state = CheckState() if before is None else before.state
        same_address = before is not None and before.target.address == target.address
        seen_s = before.seen_s if before is not None and same_address else self._clock()
        watch = WatchedRoute(target, route, state, seen_s)
        watch.log.debug("route_watched", address=str(target.address), health=route.health)
        return watch

    async def _watch(self, watch: WatchedRoute, is_new: bool) -> None:  # noqa: FBT001 - start_soon passes no names
        with watch.scope:
            if is_new and watch.state.health != "not_checked":
                # Another checker probed it before; when a checker dies, many routes move at once.
                now = anyio.current_time()
                due_at = now + watch.target.health_check.interval * _draw(0, 1)
                await watch.wait_for_probe(due_at, now)
            async with anyio.create_task_group() as recording:
                while True:
                    began_at = anyio.current_time()
                    await self._probe(watch)
                    if watch.due is not None and not watch.is_recording:
                        watch.is_recording = True
                        recording.start_soon(self._record, watch, watch.due)
                    due_at = began_at + self._interval_s(watch)
                    await watch.wait_for_probe(due_at, began_at + self._settings.reported_gap_s)

    async def _probe(self, watch: WatchedRoute) -> None:
        check = watch.target.health_check
        async with self._limiter:
            stalled_s = self._stalls.stalled_s
            result = await probe(self._session, watch.target.address, check)
            stalled_s = self._stalls.stalled_s - stalled_s
        if _says_nothing(result, stalled_s, check):
            if not watch.is_void:
                watch.log.warning("probe_void", reason=result.reason, stalled_s=round(stalled_s, 3))
            watch.is_void = True
            return
        watch.is_void = False
        watch.probed_at = anyio.current_time()
        watch.result = result
        was_flapping = watch.state.flapping
        watch.state, transition = judge(
            watch.state,
            result,
            self._clock(),
            watch.started_s,
            check,
            settings=self._settings.verdict,
        )
        watch.due = transition or watch.due
        if watch.state.flapping and not was_flapping:
            watch.log.warning(
                "flapping", successes_min=self._settings.verdict.flapping_successes_min
            )

    async def _record(self, watch: WatchedRoute, transition: ObservedTransition) -> None:
        """Record *transition* in parallel with the probing, which does not wait for the log."""
        log = watch.log.bind(new_status=transition.new_status, reason=transition.reason)
        try:
            await self._recorder.record_status(
                watch.target.endpoint_id,
                watch.target.route_id,
                transition.new_status,
                observed_at=datetime.fromtimestamp(transition.observed_s, UTC),
                reason=transition.reason,
                consecutive_failures=transition.consecutive_failures,
            )
        except (EventsError, ProjectionsError, ProducersError) as error:
            log.warning("health_not_recorded", error=str(error))
        else:
            watch.due = None if watch.due is transition else watch.due
            log.info("health_recorded", consecutive_failures=transition.consecutive_failures)
        finally:
            watch.is_recording = False

    def _interval_s(self, watch: WatchedRoute) -> float:
        """Return the time to the next probe; it may be shorter for a failing route."""
        interval_s = watch.target.health_check.interval
        failing = watch.state.successes == 0 and watch.state.health != "unhealthy"
        if failing and self._settings.fast_interval_s is not None:
            interval_s = min(interval_s, self._settings.fast_interval_s)
        interval_s = max(interval_s, self._settings.interval_min_s)
        return interval_s * _draw(1 - self._settings.jitter, 1 + self._settings.jitter)


def _says_nothing(result: ProbeResult, stalled_s: float, check: HealthCheck) -> bool:
    """Whether a probe failed by the checker's own fault: it stood still, or lacked something."""
    if result.failed_here:
        return True
    return result.is_late and stalled_s > STALLED_PART_MAX * check.max_wait_time


def _address(route: Route) -> Address | None:
    """Return where to probe *route*, None where it is not reachable."""
    if not is_reachable(route) or route.kernel_host is None or route.kernel_port is None:
        return None
    return Address(route.kernel_host, route.kernel_port, route.protocol)


def _draw(least: float, most: float) -> float:
    return random.uniform(least, most)  # noqa: S311 - spreads load, keeps no secret
