"""Exposes the metrics and health of consumers, of a supervisor, and of a health checker."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Protocol

import anyio
from prometheus_client.metrics_core import Metric as Family

from consumers.groups.backlog import read_backlog
from consumers.monitoring.metrics import (
    of_checkers,
    of_consumers,
    of_health,
    of_processes,
    of_server,
)
from consumers.monitoring.probe_metrics import of_probes
from consumers.monitoring.vitals import (
    Health,
    Problem,
    ServerProbe,
    VitalsSettings,
    is_silent,
    liveness_of,
    readiness_of,
)
from consumers.runtime.progress import ConsumerProgress
from events.errors import EventsError, ServerUnavailableError
from events.log.log import EventLog
from events.server.server import now_of
from producers.checker.known_checkers import KnownCheckers, read_known_checkers
from producers.checker.membership import Membership, MembershipSettings
from producers.checker.probe_tally import ProbeTally
from projections.catalogue import READ_MODELS
from projections.health_state.probe_times import read_health_ages
from projections.read_model.reader import RouteTableReader
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import HealthAge

PROBED_EVERY_S = 1.0
"""Seconds for which a probe of the server is reused, however often health is requested."""

PROBE_TIMEOUT_S = 0.5
"""The longest wait for the server: many probers treat no answer within 1 s as a failure."""


class ExposedConsumers:
    """The consumers of one group in one process, one for each partition."""

    def __init__(
        self,
        log: EventLog,
        progresses: Sequence[ConsumerProgress],
        settings: VitalsSettings,
        *,
        checker_lifetime_s: float = MembershipSettings().lifetime_s,
        source: EventLog | None = None,
    ) -> None:
        self._log = log
        self._source = log if source is None else source
        self._progresses = progresses
        self._settings = settings
        self._checker_lifetime_s = checker_lifetime_s
        self._checkers: KnownCheckers | None = None
        self._probes: Mapping[int, ServerProbe] = {}
        self._probed_at: float | None = None
        self._lock = anyio.Lock()

    async def metrics(self) -> Iterable[Family]:
        """Return what the consumers did, and what is left to do."""
        probes = await self._probe_all()
        backlogs = {p: probe.backlog for p, probe in probes.items() if probe.backlog is not None}
        is_up = not any(probe.is_away or probe.is_shut for probe in probes.values())
        own = of_consumers(self._progresses, backlogs, server_up=is_up)
        # The checkers cannot tell of themselves once all are gone.
        return [*own, *of_checkers(self._checkers if is_up else None)]

    async def liveness(self) -> Health:
        """Return whether each consumer makes progress; see `consumers.monitoring.vitals`.

        The server is asked only if one of them is silent.
        """
        now = monotonic()
        if not any(is_silent(progress, now, self._settings) for progress in self._progresses):
            return Health(ok=True)
        probes = await self._probe_all()
        found = [liveness_of(p, probes[p.partition], now, self._settings) for p in self._progresses]
        return Health.of(found)

    async def is_alive(self) -> bool:
        """Return whether each consumer makes progress, for a supervisor."""
        return (await self.liveness()).ok

    async def readiness(self) -> Health:
        """Return whether each consumer can work; see `consumers.monitoring.vitals.readiness_of`."""
        probes = await self._probe_all()
        now = monotonic()
        return Health.of([readiness_of(p, probes[p.partition], now) for p in self._progresses])

    async def _probe_all(self) -> Mapping[int, ServerProbe]:
        """Probe the server, at most every `PROBED_EVERY_S` seconds for all concurrent requests."""
        async with self._lock:
            if self._probed_at is None or monotonic() - self._probed_at >= PROBED_EVERY_S:
                probes: dict[int, ServerProbe] = {}
                self._checkers = None
                with anyio.move_on_after(PROBE_TIMEOUT_S):
                    for progress in self._progresses:
                        probes[progress.partition] = await self._probe(progress)
                    self._checkers = await known_checkers(self._log, self._checker_lifetime_s)
                late = ServerProbe(
                    error=ServerUnavailableError(f"no answer within {PROBE_TIMEOUT_S:g} s")
                )
                self._probes = {
                    p.partition: probes.get(p.partition, late) for p in self._progresses
                }
                self._probed_at = monotonic()
            return self._probes

    async def _probe(self, progress: ConsumerProgress) -> ServerProbe:
        group, partition = progress.group, progress.partition
        has_read_model = None
        try:
            if group in READ_MODELS:
                key = self._log.keys.live(partition, group)
                has_read_model = bool(await self._log.server.client.call("EXISTS", key))
            if self._source is not self._log:
                # What is read there is recorded here.
                await (await self._log.server.at(self._log.keys.layout)).call("PING")
            backlog = await read_backlog(self._source, group, partition)
        except EventsError as error:
            return ServerProbe(error=error, has_read_model=has_read_model)
        return ServerProbe(backlog, has_read_model=has_read_model)


class Supervised(Protocol):
    """The processes of a supervisor; see `consumers.processes.supervisor.Supervisor`."""

    @property
    def restarts(self) -> Mapping[str, int]:
        """How often each process was restarted."""

    @property
    def pids(self) -> Mapping[str, int]:
        """The process ids of those that are running."""


class ExposedSupervisor:
    """A supervisor: it is alive while it answers, and ready when all its processes run."""

    def __init__(self, supervisor: Supervised) -> None:
        self._supervisor = supervisor

    async def metrics(self) -> Iterable[Family]:
        """Return how often each process was restarted, and whether it runs."""
        return of_processes(self._supervisor.restarts, self._supervisor.pids)

    async def liveness(self) -> Health:
        """Return ok: it answers."""
        return Health(ok=True)

    async def readiness(self) -> Health:
        """Return which of its processes do not run now."""
        missing = self._supervisor.restarts.keys() - self._supervisor.pids.keys()
        return Health.of([Problem(f"process {name} does not run") for name in sorted(missing)])


class ExposedChecker:
    """A health checker: it is alive while it answers; it retries what it cannot record.

    Attributes:
        membership: Its membership, None until it has the route table and has joined.
        reader: Its route table, None until it has one.
        tally: Its probes, None until it can make any.
    """

    def __init__(
        self, log: EventLog, *, lifetime_s: float = MembershipSettings().lifetime_s
    ) -> None:
        self.membership: Membership | None = None
        self.reader: RouteTableReader | None = None
        self.tally: ProbeTally | None = None
        self._log = log
        self._lifetime_s = lifetime_s

    async def metrics(self) -> Iterable[Family]:
        """Return its probes, how many checkers share the endpoints, and how old health is."""
        is_heard = self.membership is not None and self.membership.is_heard
        known = await known_checkers(self._log, self._lifetime_s) if is_heard else None
        ages = await self._ages(self.reader.endpoints()) if is_heard and self.reader else None
        probes = [] if self.tally is None else of_probes(self.tally)
        return [*probes, *of_checkers(known), *of_health(ages), of_server(is_up=is_heard)]

    async def _ages(self, endpoints: Iterable[Endpoint]) -> Collection[HealthAge] | None:
        with suppress(EventsError):
            now = await now_of(self._log.server)
            return list((await read_health_ages(self._log, endpoints, now)).values())
        return None

    async def liveness(self) -> Health:
        """Return ok: it answers."""
        return Health(ok=True)

    async def readiness(self) -> Health:
        """Return whether it has the route table, and whether its last heartbeat was accepted."""
        if self.membership is None:
            return Health.of([Problem("it waits for the route table")])
        silent = Problem("the server did not take the last sign of life")
        return Health.of([None if self.membership.is_heard else silent])


async def known_checkers(log: EventLog, lifetime_s: float) -> KnownCheckers | None:
    """Return the health checkers, None while the server does not answer or refuses to tell."""
    with suppress(EventsError):
        now = await now_of(log.server)
        ask = log.server.client.call
        return await read_known_checkers(ask, log.keys, lifetime_s, now.timestamp())
    return None
