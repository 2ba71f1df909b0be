"""Keep in memory how old the health of routes is, for a reader of the route table."""

from collections.abc import Callable, Iterable
from time import monotonic, time
from uuid import UUID

import anyio

from events.errors import EventsError
from events.log.keys import Keys, partition_of
from events.server.reply import reply
from events.server.server import Server
from events.structured_logger import structured_logger
from projections.health_state.probe_times import read_probe_times, routes_to_probe
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import HealthAge, RouteKey, health_age_of, stale_after_s
from projections.route_table.route import Route

_log = structured_logger(__name__)

READ_EVERY_S = 10.0
"""Seconds between two readings of the times of the last probes."""


ASKED_EVERY_S = 1.0
"""The least time between two readings, where somebody asks for ages that were not read yet."""


class FollowedAges:
    """Reads when routes were last probed, again and again; answers from memory.

    It reads them of endpoints that somebody has asked about, and of those that withdraw stale
    routes: of all, hundreds of readers would keep the server busy with that alone. While Redis is
    away the last times stay, so that ages grow.

    Attributes:
        first_read: Set when they were read for the first time.
    """

    def __init__(
        self,
        server: Server,
        keys: Keys,
        partitions: int,
        endpoints: Callable[[], Iterable[Endpoint]],
        note: Callable[[Iterable[UUID]], None],
    ) -> None:
        self._server = server
        self._keys = keys
        self._partitions = partitions
        self._endpoints = endpoints
        self._note = note
        self._withdrawn: dict[UUID, frozenset[UUID]] = {}
        self._times: dict[RouteKey, int] = {}
        self._asked: set[UUID] = set()
        self._known: frozenset[UUID] = frozenset()
        self._is_asked = anyio.Event()
        self._now_ms = 0
        self._read_at: float | None = None
        self._is_told = True
        self.first_read = anyio.Event()

    async def run(self) -> None:
        """Read every `READ_EVERY_S` seconds, earlier for who asks, until cancelled."""
        while True:
            self._is_asked = anyio.Event()
            try:
                await self._read()
            except EventsError as error:
                if self._is_told:
                    _log.warning("health_ages_not_read", error=str(error))
                self._is_told = False
            else:
                self._is_told = True
                self._note_withdrawn()
                self.first_read.set()
            await anyio.sleep(min(ASKED_EVERY_S, READ_EVERY_S))
            with anyio.move_on_after(READ_EVERY_S - ASKED_EVERY_S):
                await self._is_asked.wait()

    @property
    def server_ms(self) -> int:
        """The server's clock in ms since 1970; this machine's before the first reading."""
        if self._read_at is None:
            return round(time() * 1_000)
        return self._now_ms + round((monotonic() - self._read_at) * 1_000)

    def age_of(self, endpoint: Endpoint, route: Route) -> HealthAge | None:
        """Return how old the health of *route* is; None where no checker has to look at it.

        Before it is known it is None, too: the first call for an endpoint has it read.
        """
        if endpoint.endpoint_id not in self._known:
            self._asked.add(endpoint.endpoint_id)
            self._is_asked.set()
            return None
        return self._age_of(endpoint, route)

    def _age_of(self, endpoint: Endpoint, route: Route) -> HealthAge | None:
        now_ms = self.server_ms
        probed_ms = self._times.get((endpoint.endpoint_id, route.route_id))
        return health_age_of(endpoint, route, probed_ms, now_ms)

    def withdrawn(self, endpoint: Endpoint) -> frozenset[UUID]:
        """Return the routes that get no traffic because their health was stale when last read.

        While Redis is away none is added: nobody knows then whether routes are probed.
        """
        check = endpoint.health_check
        if check is None or not _withdraws(endpoint) or self._read_at is None:
            return frozenset()
        unread_s = monotonic() - self._read_at
        return frozenset(
            route.route_id
            for route in endpoint.present_routes
            if (age := self._age_of(endpoint, route)) is not None
            and (age.age_s is None or age.age_s - unread_s > stale_after_s(check))
        )

    def _note_withdrawn(self) -> None:
        """Tell which endpoints have other withdrawn routes than at the reading before."""
        withdrawn = {
            endpoint.endpoint_id: routes
            for endpoint in self._endpoints()
            if (routes := self.withdrawn(endpoint))
        }
        before, self._withdrawn = self._withdrawn, withdrawn
        changed = [
            endpoint_id
            for endpoint_id in before.keys() | withdrawn.keys()
            if before.get(endpoint_id) != withdrawn.get(endpoint_id)
        ]
        if changed:
            self._note(changed)

    async def _read(self) -> None:
        ask = self._server.client.call
        followed = [
            endpoint
            for endpoint in self._endpoints()
            if endpoint.endpoint_id in self._asked or _withdraws(endpoint)
        ]
        routes: dict[int, list[RouteKey]] = {}
        for key in routes_to_probe(followed):
            routes.setdefault(partition_of(key[0], self._partitions), []).append(key)
        # Without the right to ask for it, nothing is said of ages: no other clock will do.
        raw = await (await self._server.at(self._keys.probed(0))).call("TIME")
        seconds, microseconds = reply(raw, tuple[int, int])
        read_at = monotonic()
        times: dict[RouteKey, int] = {}
        for partition, own in routes.items():
            times |= await read_probe_times(ask, self._keys, partition, own)
        self._now_ms, self._read_at = seconds * 1_000 + microseconds // 1_000, read_at
        self._times = times
        self._known = frozenset(endpoint.endpoint_id for endpoint in followed)
        self._asked &= {endpoint.endpoint_id for endpoint in self._endpoints()}


def _withdraws(endpoint: Endpoint) -> bool:
    """Whether the endpoint's routes get no traffic while their health is stale."""
    check = endpoint.health_check
    return check is not None and check.on_stale == "unhealthy"
