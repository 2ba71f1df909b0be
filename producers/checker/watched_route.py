"""Hold what a health checker knows of one route that it probes."""

import anyio
from msgspec.structs import replace

from events.entry.entry_id import START
from events.structured_logger import StructuredLogger, structured_logger
from producers.checker.deep.deep_progress import progress_of
from producers.checker.probe_result import ProbeResult
from producers.checker.schedule.target import Target
from producers.checker.verdict import CheckState, ObservedTransition, VerdictSettings, taken_over
from projections.route_table.route import Route

_log = structured_logger(__name__)


class WatchedRoute:
    """The probing of one target; *due* is its newest transition that is not recorded yet.

    Attributes:
        due_at: When its next probe is due, or the one under way was, by the event loop's clock.
        place: Its place in the schedule; None while a probe is under way, or waits for a slot.
        began_at: When its last probe began, by the event loop's clock.
        probed_at: When the last probe ended that says something of the route, by the event loop's
            clock; None before the first.
        result: How that probe ended.
        is_void: Whether the last probe said nothing of the route.
        is_forward: Whether its next probe is brought forward.
        is_over: Whether it is watched no more.
        scope: What cancels the probe that is under way.
        deep: How far its deep checks are; None where there are none.
    """

    __slots__ = (
        *(
            "_flapping_at",
            "_health_at",
            "began_at",
            "deep",
            "due",
            "due_at",
            "is_forward",
            "is_over",
            "is_recording",
        ),
        *("is_void", "place", "probed_at", "result", "scope", "seen_s", "state", "target"),
    )

    def __init__(self, target: Target, route: Route, state: CheckState, seen_s: float) -> None:
        self.target = target
        self.state = state
        self.seen_s = seen_s
        self.due: ObservedTransition | None = None
        self.is_recording = False
        self.due_at = 0.0
        self.place: int | None = None
        self.began_at = 0.0
        self.probed_at: float | None = None
        self.result: ProbeResult | None = None
        self.is_void = False
        self.is_forward = False
        self.is_over = False
        self.scope: anyio.CancelScope | None = None
        self.deep = progress_of(target.health_check, is_healthy=route.health == "healthy")
        self._health_at, self._flapping_at = route.health_at, route.flapping_at

    @property
    def log(self) -> StructuredLogger:
        """A logger that names the route."""
        endpoint_id, route_id = self.target.key
        return _log.bind(endpoint_id=str(endpoint_id), route_id=str(route_id))

    @property
    def started_s(self) -> float:
        """When the grace began, in seconds since 1970: at the route's start, or when first seen."""
        started_at = self.target.started_at
        if started_at <= START:
            return self.seen_s
        # Our clock may be behind the server's: nothing starts after it was seen.
        return min(started_at.ms / 1_000, self.seen_s)

    @property
    def health_since_s(self) -> float:
        """Since when its health is what it is, in seconds since 1970; when first seen, at least."""
        if self.state.changed_at:
            return self.state.changed_at[-1]
        return self._health_at.ms / 1_000 if self._health_at > START else self.seen_s

    def continue_from(self, route: Route, now_s: float, settings: VerdictSettings) -> None:
        """Take over what any producer has recorded since the last update.

        A health that is not ours drops the due transition; the next probe judges again.
        """
        if route.flapping_at != self._flapping_at and route.flapping != self.state.flapping:
            known = replace(self.state, flapping=False, changed_at=())
            self.state = taken_over(known, route, now_s=now_s, settings=settings)
            self.due = None
        elif route.health_at != self._health_at and route.health != self.state.told:
            self.state = replace(self.state, health=route.health)
            self.due = None
        self._health_at, self._flapping_at = route.health_at, route.flapping_at
