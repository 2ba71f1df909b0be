"""Hear which routes' requests failed, as proxies report it, and bring their probes forward."""

from collections.abc import Callable, Iterable

import anyio

from events.entry.entry_line import RawEntry
from events.errors import EventsError
from events.log.log import EventLog
from events.server.backoff import Backoff
from events.server.reply import text
from events.server.server import now_of
from events.streams.awaited_entries import AwaitedEntries
from events.structured_logger import structured_logger
from projections.health_state.probe_times import route_key
from projections.route_table.health_age import RouteKey

_log = structured_logger(__name__)

_READ_COUNT = 100
_BLOCK_MS = 1_000
_RECENT_MS = 5_000
_RECONNECT = Backoff(first_s=0.1, most_s=5.0)


class PassiveReports:
    """Reads what proxies report of all partitions, and hands on each route that had failures.

    Nothing is concluded from a report: whoever reports wrongly brings about probes, no more.
    Reports that nobody heard are not made up for, but for those of the last seconds.
    """

    def __init__(self, log: EventLog, bring_forward: Callable[[RouteKey], None]) -> None:
        self._log = log
        self._bring_forward = bring_forward
        self._keys = [log.keys.failed_requests(partition) for partition in range(log.partitions)]

    async def run(self) -> None:
        """Hand on routes until cancelled; while the server is away, keep trying."""
        failures = 0
        while True:
            try:
                async with AwaitedEntries.open(self._log.server, self._keys, _BLOCK_MS) as awaited:
                    since_ms = round((await now_of(self._log.server)).timestamp() * 1_000)
                    position = f"{since_ms - _RECENT_MS}-0".encode()
                    positions = dict.fromkeys(self._keys, position)
                    while True:
                        await self._read(awaited, positions)
                        failures = 0
            except EventsError as error:
                failures += 1
                if failures == 1:
                    _log.warning("passive_reports_not_read", error=str(error))
                await anyio.sleep(_RECONNECT.delay_s(failures))

    async def _read(self, awaited: AwaitedEntries, positions: dict[str, bytes]) -> None:
        """Wait for reports, hand on their routes, and move *positions* behind them."""
        failing: dict[RouteKey, None] = {}
        for stream, entries in await awaited.read(positions, _READ_COUNT):
            failing |= dict.fromkeys(_routes_of(entries))
            positions[text(stream)] = entries[-1][0]
        for route in failing:
            self._bring_forward(route)


def _routes_of(entries: Iterable[RawEntry]) -> Iterable[RouteKey]:
    """Yield the routes that the entries name; what is written otherwise names none."""
    for _, flat in entries:
        for member in (flat or ())[::2]:
            if (route := route_key(member)) is not None:
                yield route
