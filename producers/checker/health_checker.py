"""Probe the routes of the endpoints that a checker owns, and record their transitions."""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import anyio
import msgspec
from anyio.abc import TaskGroup

from events.errors import EventsError
from events.structured_logger import structured_logger
from producers.checker.deep.deep_checks import DeepChecks, HasTraffic, no_traffic
from producers.checker.ports import EndpointOwnership, Reader, Recorder
from producers.checker.probe import ProbeSession, probe
from producers.checker.probe_result import ProbeResult
from producers.checker.schedule.probe_interval import draw, drawn_interval_s
from producers.checker.schedule.probe_schedule import ProbeSchedule
from producers.checker.schedule.probe_slots import ProbeSlots
from producers.checker.schedule.stall_clock import StallClock, is_void
from producers.checker.schedule.target import Target, targets_of
from producers.checker.settings import CheckerSettings
from producers.checker.verdict import (
    CheckState,
    ObservedTransition,
    judge,
    judge_withheld,
    taken_over,
)
from producers.checker.watched_route import WatchedRoute
from producers.errors import ProducersError
from projections.errors import ProjectionsError
from projections.route_table.health_age import RouteKey
from projections.route_table.route import Route

_log = structured_logger(__name__)

TICK_S = 0.005
"""Seconds between two looks at what is due."""

STARTED_AT_ONCE_MAX = 64
"""Due probes that one look starts or puts off, so that those under way get their turn."""

UPDATE_REST = 9
"""How much longer than an update the time until the next one is, at least."""

BEGUN_PER_S = 1_000
"""New routes that are probed for the first time in a second, where many appear at once."""


class HealthChecker:
    """Probes each reachable route of each owned endpoint that has a health check.

    Every route is probed on its own schedule. A transition stays due until it is recorded; probing
    continues while the log cannot record it.
    """

    def __init__(  # noqa: PLR0913 - what it stands on
        self,
        reader: Reader,
        recorder: Recorder,
        ownership: EndpointOwnership,
        session: ProbeSession,
        settings: CheckerSettings,
        *,
        clock: Callable[[], float] = time.time,
        has_traffic: HasTraffic = no_traffic,
    ) -> None:
        self._reader = reader
        self._recorder = recorder
        self._ownership = ownership
        self._session = session
        self._settings = settings
        self._clock = clock
        self._stalls = StallClock()
        self._deep = DeepChecks(session, self._stalls, clock, self._hasten, has_traffic)
        self._schedule = ProbeSchedule()
        self._slots = ProbeSlots(settings.concurrency_max, settings.host_concurrency_max)
        self._waiting: deque[WatchedRoute] = deque()
        self._noticed = anyio.Event()
        self._woken = anyio.Event()
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

    def bring_forward(self, key: RouteKey) -> None:
        """Probe the route at once, if it is watched: at most every `reported_gap_s` seconds.

        Where a probe is under way, another one follows: it may have begun before the fault.
        """
        watch = self._watches.get(key)
        if watch is None:
            return
        if watch.deep is not None:
            watch.deep.bring_forward()
        self._hasten(watch)

    def _hasten(self, watch: WatchedRoute) -> None:
        watch.is_forward = True
        if watch.place is not None and not watch.is_over:
            self._put(watch, watch.due_at)

    async def run(self) -> None:
        """Probe and record until cancelled."""
        _log.info("checker_started", **msgspec.to_builtins(self._settings))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stalls.run)
            tasks.start_soon(self._deep.run)
            tasks.start_soon(self._keep_schedule, tasks)
            for changed in (self._reader.changed, self._ownership.changed):
                tasks.start_soon(self._notice, changed)
            while True:
                await self._noticed.wait()
                self._noticed = anyio.Event()
                began_at = anyio.current_time()
                self._update()
                took_s = anyio.current_time() - began_at
                # However large the table, most of the time is left to the probes.
                await anyio.sleep(max(self._settings.update_interval_s, UPDATE_REST * took_s))

    async def _notice(self, changed: Callable[[], Awaitable[None]]) -> None:
        while True:
            self._noticed.set()
            await changed()

    def _update(self) -> None:
        """Begin and end watches, so that exactly the wanted routes are watched."""
        wanted = targets_of(self._reader.endpoints(), self._ownership.owns)
        for key in self._watches.keys() - wanted.keys():
            self._end(ended := self._watches.pop(key))
            ended.log.debug("route_unwatched")
        begun = 0
        for key, (target, route) in wanted.items():
            known = self._watches.get(key)
            if known is not None and known.target == target:
                known.continue_from(route, self._clock(), self._settings.verdict)
                continue
            if known is not None:
                self._end(known)
            self._watches[key] = watch = self._new_watch(target, route, known)
            delay_s = begun / BEGUN_PER_S
            if known is None and watch.state.health != "not_checked":
                # Another checker probed it before; when a checker dies, many routes move at once.
                delay_s = target.health_check.interval * draw(0, 1)
            begun += 1
            self._put(watch, anyio.current_time() + delay_s)

    def _end(self, watch: WatchedRoute) -> None:
        watch.is_over = True
        self._schedule.drop(watch)
        if watch.scope is not None:
            watch.scope.cancel()
        if watch.deep is not None:
            watch.deep.scope.cancel()

    def _new_watch(self, target: Target, route: Route, before: WatchedRoute | None) -> WatchedRoute:
        """Count from zero; whether the route flaps is remembered across its restart."""
        state = taken_over(
            CheckState() if before is None else before.state,
            route,
            now_s=self._clock(),
            settings=self._settings.verdict,
        )
        same_address = before is not None and before.target.address == target.address
        seen_s = before.seen_s if before is not None and same_address else self._clock()
        watch = WatchedRoute(target, route, state, seen_s)
        watch.log.debug("route_watched", address=str(target.address), health=route.health)
        return watch

    def _put(self, watch: WatchedRoute, due_at: float) -> None:
        if watch.is_forward:
            earliest_at = watch.began_at + self._settings.reported_gap_s
            due_at = min(due_at, max(anyio.current_time(), earliest_at))
        self._schedule.put(watch, due_at)
        self._woken.set()

    async def _keep_schedule(self, tasks: TaskGroup) -> None:
        """Start each probe when it is due, or as soon as there is a slot for it."""
        while True:
            self._start_due(tasks)
            # What is due within a tick begins together.
            await anyio.sleep(TICK_S)
            if self._waiting:
                continue
            self._woken = anyio.Event()
            with anyio.move_on_at(self._schedule.next_at()):
                await self._woken.wait()

    def _start_due(self, tasks: TaskGroup) -> None:
        """Start some of the probes that are due, by turns with those that wait for a slot."""
        now = anyio.current_time()
        for _ in range(min(len(self._waiting), STARTED_AT_ONCE_MAX)):
            self._start(self._waiting.popleft(), tasks)
        for _ in range(STARTED_AT_ONCE_MAX):
            watch = self._schedule.take(now)
            if watch is None:
                break
            self._start(watch, tasks)

    def _start(self, watch: WatchedRoute, tasks: TaskGroup) -> None:
        if watch.is_over:
            return
        if self._slots.take(watch):
            tasks.start_soon(self._probe, watch, tasks)
        else:
            self._waiting.append(watch)

    async def _probe(self, watch: WatchedRoute, tasks: TaskGroup) -> None:
        watch.began_at = anyio.current_time()
        watch.is_forward = False
        stalled_s = self._stalls.stalled_s
        result = None
        try:
            with anyio.CancelScope() as watch.scope:
                result = await probe(self._session, watch.target.address, watch.target.health_check)
        finally:
            watch.scope = None
            self._slots.give_back(watch)
        if result is None or watch.is_over:
            return
        self._conclude(watch, result, self._stalls.stalled_s - stalled_s)
        if watch.due is not None and not watch.is_recording:
            watch.is_recording = True
            tasks.start_soon(self._record, watch, watch.due)
        self._put(watch, watch.began_at + drawn_interval_s(watch, self._settings, self._clock()))

    def _conclude(self, watch: WatchedRoute, result: ProbeResult, stalled_s: float) -> None:
        """Judge the route by one more probe, which took a time in which we stood still."""
        if is_void(result, stalled_s, watch.target.health_check.max_wait_time):
            if not watch.is_void:
                watch.log.warning("probe_void", reason=result.reason, stalled_s=round(stalled_s, 3))
            watch.is_void = True
            return
        watch.is_void = False
        watch.probed_at = anyio.current_time()
        watch.result = result
        watch.state, transition = self._judge(watch, result)
        watch.due = transition or watch.due
        if transition is not None and transition.flapping:
            watch.log.warning("flapping", reason=transition.reason)

    def _judge(
        self, watch: WatchedRoute, result: ProbeResult
    ) -> tuple[CheckState, ObservedTransition | None]:
        """Judge the route by its cheap probe and its deep checks together."""
        check, settings, now_s = watch.target.health_check, self._settings.verdict, self._clock()
        deep = self._deep.follow(watch, result)
        if deep is not None and result.success and not deep.passed:
            return judge_withheld(watch.state, deep, now_s, check, settings=settings)
        return judge(watch.state, result, now_s, watch.started_s, check, settings=settings)

    async def _record(self, watch: WatchedRoute, transition: ObservedTransition) -> None:
        """Record *transition* in parallel with the probing, which does not wait for the log."""
        log = watch.log.bind(new_status=transition.new_status, reason=transition.reason)
        observed_at = datetime.fromtimestamp(transition.observed_s, UTC)
        try:
            if transition.flapping is not None:
                await self._recorder.record_flapping(
                    *watch.target.key,
                    flapping=transition.flapping,
                    observed_at=observed_at,
                    reason=transition.reason,
                )
            await self._recorder.record_status(
                *watch.target.key,
                transition.new_status,
                observed_at=observed_at,
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
