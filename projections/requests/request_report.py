"""Report to the health checkers how a proxy's requests ended: it brings probes forward."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from uuid import UUID

import anyio

from events.errors import EventsError, ServerRefusedError
from events.log.keys import Keys, partition_of
from events.server.reply import reply
from events.server.server import Server
from events.structured_logger import structured_logger
from projections.health_state.probe_times import member_of
from projections.requests.request_counts import SLICE_S, SLICES_KEPT
from projections.route_table.health_age import RouteKey

_log = structured_logger(__name__)

COUNTED_MAX = 10_000
"""Routes whose requests are counted between two reports."""

SENT_MAX = 200
"""Routes that one call of the script reports."""

FAILURES_EVERY_S = 0.5
"""The least time between two reports; the first failure after it is reported at once."""

SUCCESSES_EVERY_S = 5.0
"""The most time for which successes alone are held back."""

REFUSED_S = 60.0
"""Seconds for which nothing is reported after the server has refused a report."""

_STORED_MAX = 20_000
_ENTRIES_MAX = 256

Counted = tuple[RouteKey, list[int]]
"""A route, and its successes and failures."""


class RequestReport:
    """Counts how requests ended, and reports that in one step for many; it is not thread-safe.

    What cannot be reported is dropped: it would be old news, and nothing is concluded from it.

    Attributes:
        dropped: Results that were not counted, for there were too many routes.
    """

    def __init__(self, server: Server, keys: Keys, partitions: int) -> None:
        self._keys = keys
        self._partitions = partitions
        self._script = server.client.script("projections.requests", "report_requests")
        self._counts: dict[RouteKey, list[int]] = {}
        self._counted = anyio.Event()
        self._urgent = anyio.Event()
        self._is_told = True
        self.dropped = 0

    def add(self, route: RouteKey, successes: int, failures: int) -> None:
        """Count requests; it never waits. With none the route is suspected, and probed alone."""
        counts = self._counts.get(route)
        if counts is None:
            if len(self._counts) >= COUNTED_MAX:
                self._urgent.set()
                self.dropped += successes + failures
                return
            counts = self._counts[route] = [0, 0]
            self._counted.set()
        counts[0] += successes
        counts[1] += failures
        if failures or not successes:
            self._urgent.set()

    async def run(self) -> None:
        """Report until cancelled; the server is not asked for anything while there is nothing."""
        while True:
            await self._counted.wait()
            with anyio.move_on_after(SUCCESSES_EVERY_S):
                await self._urgent.wait()
            self._counted, self._urgent = anyio.Event(), anyio.Event()
            counts, self._counts = self._counts, {}
            await anyio.sleep(await self._send(counts))

    async def _send(self, counts: dict[RouteKey, list[int]]) -> float:
        """Report *counts*, and return for how long nothing may be reported after that."""
        try:
            for partition, own in self._by_partition(counts).items():
                ordered = in_turns(own)
                for start in range(0, len(ordered), SENT_MAX):
                    await self._report(partition, ordered[start : start + SENT_MAX])
        except EventsError as error:
            if self._is_told:
                _log.warning("requests_not_reported", error=str(error))
            self._is_told = False
            return REFUSED_S if isinstance(error, ServerRefusedError) else FAILURES_EVERY_S
        self._is_told = True
        return FAILURES_EVERY_S

    def _by_partition(self, counts: dict[RouteKey, list[int]]) -> dict[int, list[Counted]]:
        found: dict[int, list[Counted]] = {}
        for counted in counts.items():
            found.setdefault(partition_of(counted[0][0], self._partitions), []).append(counted)
        return found

    async def _report(self, partition: int, counts: Sequence[Counted]) -> None:
        keys = [self._keys.requests(partition), self._keys.failed_requests(partition)]
        words = [word for route, ended in counts for word in (member_of(route), *ended)]
        limits = (SLICE_S * 1_000, SLICES_KEPT, _STORED_MAX, _ENTRIES_MAX)
        self.dropped += reply(await self._script(keys, [*limits, *words]), int)


def in_turns(counts: Sequence[Counted]) -> list[Counted]:
    """Return *counts* with failures first, the endpoints by turns: none delays another's."""
    failing = [one for one in counts if _is_failing(one)]
    others = [one for one in counts if not _is_failing(one)]
    return [*_turns(failing), *_turns(others)]


def _is_failing(counted: Counted) -> bool:
    successes, failures = counted[1]
    return failures > 0 or not successes


def _turns(counts: Sequence[Counted]) -> Iterator[Counted]:
    by_endpoint: dict[UUID, list[Counted]] = {}
    for one in counts:
        by_endpoint.setdefault(one[0][0], []).append(one)
    return (one for turn in zip_longest(*by_endpoint.values()) for one in turn if one is not None)
