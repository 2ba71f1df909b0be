"""Report to the server how routes were last probed, beside the log, which holds changes only."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import anyio
import msgspec

from events.errors import EventsError
from events.log.keys import partition_of
from events.log.log import EventLog
from events.server.reply import reply
from events.structured_logger import structured_logger
from producers.checker.probe_result import ProbeResult
from projections.health_state.probe_times import member_of, route_key, routes_to_probe
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import STALE_S, LastProbe, RouteKey

_log = structured_logger(__name__)

_ROUTES_MAX = 1_000
"""Routes that one call of the script notes."""

_EXPIRES_S = 600.0
"""Results that no checker has reported for so long are gone."""

_LONG_AGO_MAX = 100
"""Routes without a probe for long that one call returns."""


class Prober(Protocol):
    """Knows when it last probed which routes; see `health_checker.HealthChecker`."""

    def probe_ages_s(self) -> Mapping[RouteKey, float]:
        """Return how many seconds ago the last probe of each watched route ended."""

    def last_results(self) -> Mapping[RouteKey, ProbeResult]:
        """Return how the last probe of each watched route ended."""


class Table(Protocol):
    """A route table in memory; see `projections.read_model.reader.RouteTableReader`."""

    def endpoints(self) -> Iterable[Endpoint]:
        """Return every endpoint, as last known."""


class ProbeReport:
    """Notes the last probe of each route that a checker watches; forgets routes that are gone."""

    def __init__(self, log: EventLog, prober: Prober, table: Table, *, every_s: float) -> None:
        self._log = log
        self._prober = prober
        self._table = table
        self._every_s = every_s
        self._script = log.server.client.script("producers.checker", "report_probes")
        self._is_heard = True

    async def run(self) -> None:
        """Report every *every_s* seconds until cancelled; while the server is away, keep trying."""
        while True:
            try:
                await self.report()
            except EventsError as error:
                if self._is_heard:
                    _log.warning("probes_not_reported", error=str(error))
                self._is_heard = False
            else:
                self._is_heard = True
            await anyio.sleep(self._every_s)

    async def report(self) -> None:
        """Report once, to all partitions.

        Raises:
            EventsError: The server cannot be reached, or refuses.
        """
        ages_s: dict[int, list[tuple[RouteKey, float]]] = {
            partition: [] for partition in range(self._log.partitions)
        }
        results = self._prober.last_results()
        for key, age_s in self._prober.probe_ages_s().items():
            ages_s[partition_of(key[0], self._log.partitions)].append((key, age_s))
        for partition, own in ages_s.items():
            for start in range(0, max(1, len(own)), _ROUTES_MAX):
                await self._note(partition, own[start : start + _ROUTES_MAX], results)

    async def _note(
        self,
        partition: int,
        ages_s: Iterable[tuple[RouteKey, float]],
        results: Mapping[RouteKey, ProbeResult],
    ) -> None:
        keys = [self._log.keys.probed(partition), self._log.keys.probe_results(partition)]
        signs = [
            argument
            for route, age_s in ages_s
            for argument in (member_of(route), round(age_s * 1_000), _kept(results.get(route)))
        ]
        limits = [round(STALE_S * 1_000), _LONG_AGO_MAX, round(_EXPIRES_S * 1_000)]
        raw = await self._script(keys, [*limits, *signs])
        long_ago = reply(raw, list[bytes])
        if long_ago:
            wanted = set(routes_to_probe(self._table.endpoints()))
            gone = [member for member in long_ago if route_key(member) not in wanted]
            if gone:
                await self._log.server.client.call("ZREM", keys[0], *gone)
                await self._log.server.client.call("HDEL", keys[1], *gone)


def _kept(result: ProbeResult | None) -> bytes:
    """Return what is kept of a result, nothing where there is none."""
    if result is None:
        return b""
    duration_ms = round(result.duration_s * 1_000, 2)
    return msgspec.json.encode(LastProbe(duration_ms, result.cause, result.reason))
