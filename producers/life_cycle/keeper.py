"""Record what is due in the life-cycle of routes, periodically."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol
from uuid import UUID

import anyio

from events.entry.entry_id import EntryId
from events.errors import EventsError, ServerUnavailableError
from events.log.log import EventLog
from events.server.backoff import Backoff
from events.server.server import now_of
from events.structured_logger import structured_logger
from producers.endpoints.decisions import Decision
from producers.endpoints.endpoint_service import EndpointService
from producers.errors import ProducersError
from producers.life_cycle.deadlines import due
from producers.life_cycle.settings import LifeCycleSettings
from projections.errors import ProjectionsError
from projections.health_state.probe_times import read_health_ages
from projections.route_table.endpoint import Endpoint
from projections.route_table.phase import Phase, phase_of

RETRY_S = 30.0
"""Seconds after which an endpoint whose event could not be recorded is tried again."""

_log = structured_logger(__name__)


class FollowedTable(Protocol):
    """A route table in memory that another task keeps up to date."""

    def endpoints(self) -> Iterable[Endpoint]:
        """Return every endpoint, as last known."""


class LifeCycleKeeper:
    """Records the passing of deadlines; several keepers may run at once.

    It looks at a table that may be old, and records only what is still due in the state that the
    log has: each event is appended with the version on which it was decided. An endpoint for which
    nothing can be recorded delays no other.

    Attributes:
        recorded: How many events it has recorded, by their names on the wire.
        failures: Looks in a row that the server has not answered.
    """

    def __init__(self, log: EventLog, table: FollowedTable, settings: LifeCycleSettings) -> None:
        self._log = log
        self._table = table
        self._service = EndpointService(log)
        self._settings = settings
        self._stopping = anyio.Event()
        self._awaited: dict[UUID, EntryId] = {}
        self._retry_at: dict[UUID, float] = {}
        self.recorded: Counter[str] = Counter()
        self.failures = 0

    async def run(self) -> None:
        """Look and record until stopped, however often the server goes away."""
        every_s = self._settings.look_every_s
        backoff = Backoff(first_s=min(0.2, every_s), most_s=5.0)
        while not self._stopping.is_set():
            wait_s = every_s
            try:
                await self.look()
                self.failures = 0
            except ServerUnavailableError as error:
                self.failures += 1
                wait_s = backoff.delay_s(self.failures)
                _log.warning("server_unavailable", error=str(error), failures=self.failures)
            with anyio.move_on_after(wait_s):
                await self._stopping.wait()

    async def stop(self) -> None:
        """Stop after the endpoint in hand."""
        self._stopping.set()

    def phases(self) -> Mapping[Phase, int]:
        """Return how many routes are in each phase."""
        endpoints = self._table.endpoints()
        return Counter(phase_of(one, route) for one in endpoints for route in one.present_routes)

    async def look(self) -> None:
        """Record what is due now.

        Raises:
            ServerUnavailableError: The server cannot be reached.
        """
        now = await now_of(self._log.server)
        now_ms = int(now.timestamp() * 1_000)
        waiting = [one for one in self._table.endpoints() if due(one, now_ms, self._settings)]
        self._forget_except(one.endpoint_id for one in waiting)
        chosen = [one for one in waiting if self._is_turn_of(one)]
        unseen = await self._unseen(chosen)
        for endpoint in chosen:
            if self._stopping.is_set():
                return
            await self._record(endpoint.endpoint_id, now_ms, unseen)

    def _is_turn_of(self, endpoint: Endpoint) -> bool:
        """Whether the table shows what was recorded of the endpoint, and a failure was long ago."""
        own = endpoint.endpoint_id
        if own in self._awaited and endpoint.version < self._awaited[own]:
            return False
        return self._retry_at.get(own, 0.0) <= anyio.current_time()

    def _forget_except(self, waiting: Iterable[UUID]) -> None:
        kept = set(waiting)
        self._awaited = {own: at for own, at in self._awaited.items() if own in kept}
        self._retry_at = {own: at for own, at in self._retry_at.items() if own in kept}

    async def _unseen(self, endpoints: list[Endpoint]) -> frozenset[UUID]:
        """Return the routes whose health nobody looks at; all, where nobody can tell."""
        try:
            ages = await read_health_ages(self._log, endpoints, await now_of(self._log.server))
        except ServerUnavailableError:
            raise
        except EventsError as error:
            _log.warning("probe_times_unknown", error=str(error))
            return frozenset(route.route_id for one in endpoints for route in one.present_routes)
        return frozenset(route_id for (_, route_id), age in ages.items() if age.is_stale)

    async def _record(self, endpoint_id: UUID, now_ms: int, unseen: frozenset[UUID]) -> None:
        def decide(endpoint: Endpoint) -> Decision:
            return due(endpoint, now_ms, self._settings, unseen)

        log = _log.bind(endpoint_id=str(endpoint_id))
        try:
            done = await self._service.record(endpoint_id, decide)
        except ServerUnavailableError:
            raise
        except (EventsError, ProducersError, ProjectionsError) as error:
            self._retry_at[endpoint_id] = anyio.current_time() + RETRY_S
            log.warning("deadline_not_recorded", error=str(error), retry_s=RETRY_S)
            return
        if done.entry_ids:
            self._awaited[endpoint_id] = done.entry_ids[-1]
        for event in done.decision:
            self.recorded[event.wire_name] += 1
            route_id = getattr(event, "route_id", None)
            log.info("deadline_passed", event_name=event.wire_name, route_id=str(route_id or ""))
