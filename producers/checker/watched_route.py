"""Hold what a health checker knows of one route that it probes."""

from uuid import UUID

import anyio
import msgspec
from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import START, EntryId
from events.structured_logger import structured_logger
from producers.checker.probe import Address
from producers.checker.probe_result import ProbeResult
from producers.checker.verdict import CheckState, ObservedTransition
from projections.route_table.health_age import RouteKey
from projections.route_table.route import Route

_log = structured_logger(__name__)


class Target(msgspec.Struct, frozen=True):
    """What is probed, and how; when a field changes, the failures so far no longer count."""

    endpoint_id: UUID
    route_id: UUID
    address: Address
    started_at: EntryId
    health_check: HealthCheck

    @property
    def key(self) -> RouteKey:
        """The ids of endpoint and route."""
        return self.endpoint_id, self.route_id


class WatchedRoute:
    """The probing of one target; *due* is its newest transition that is not recorded yet.

    Attributes:
        probed_at: When the last probe ended that says something of the route, by the event loop's
            clock; None before the first.
        result: How that probe ended.
        is_void: Whether the last probe said nothing of the route.
    """

    def __init__(self, target: Target, route: Route, state: CheckState, seen_s: float) -> None:
        self.target = target
        self.state = replace(state, health=route.health, failures=0, successes=0)
        self.seen_s = seen_s
        self.due: ObservedTransition | None = None
        self.is_recording = False
        self.probed_at: float | None = None
        self.result: ProbeResult | None = None
        self.is_void = False
        self.scope = anyio.CancelScope()
        self._forward = anyio.Event()
        self.log = _log.bind(endpoint_id=str(target.endpoint_id), route_id=str(target.route_id))
        self._health_at = route.health_at

    @property
    def started_s(self) -> float:
        """When the grace began, in seconds since 1970: at the route's start, or when first seen."""
        started_at = self.target.started_at
        if started_at <= START:
            return self.seen_s
        # Our clock may be behind the server's: nothing starts after it was seen.
        return min(started_at.ms / 1_000, self.seen_s)

    def bring_forward(self) -> None:
        """Let the next probe come sooner than it is due."""
        self._forward.set()

    async def wait_for_probe(self, due_at: float, earliest_at: float) -> None:
        """Wait until *due_at*, or until the probe is brought forward and *earliest_at* has come."""
        with anyio.move_on_after(due_at - anyio.current_time()):
            await self._forward.wait()
            await anyio.sleep_until(earliest_at)
        self._forward = anyio.Event()

    def continue_from(self, route: Route) -> None:
        """Take over a health that any producer has recorded since the last update.

        This drops the due transition; the next probe judges again.
        """
        if route.health_at != self._health_at:
            self._health_at = route.health_at
            self.state = replace(self.state, health=route.health)
            self.due = None
