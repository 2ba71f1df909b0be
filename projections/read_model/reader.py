"""Keep the whole route table up to date in a proxy's memory."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Annotated
from uuid import UUID

import anyio
from anyio.abc import TaskStatus
from msgspec import Meta

from events.background import in_background
from events.entry.entry_id import EntryId
from events.limits import Limited
from events.log.keys import NAMESPACE, Keys
from events.log.layout import Layout
from events.log.log import EventLog
from events.log.log_to_read import log_to_read
from events.server.server import Server
from events.server.settings import ServerSettings
from projections.read_model.follower import FollowerState
from projections.read_model.moving_table import LoadedTable, MovingTable
from projections.read_model.ramps import Ramps
from projections.route_table.balancer import Balancer, by_key
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import HealthAge, RouteKey
from projections.route_table.route import Route
from projections.route_table.routing import routable
from projections.route_table.slow_start import SlowStart

_WORSE: tuple[FollowerState, ...] = (
    *("following", "away", "held_back", "history_missing", "loading"),
)


class ReaderSettings(Limited, frozen=True):
    """How a reader follows.

    Attributes:
        block_ms: The longest wait for a change before the generation is looked at again.
        audit_s: Seconds between two comparisons of the whole table with Redis, each of which takes
            a second for 100 documents.
        panic_threshold: See `projections.route_table.routing.routable`; 0 switches it off.
        slow_start_s: Seconds in which the weight of a route ramps up from a tenth to the whole
            after it became healthy, or started where nobody checks it; 0: it is whole at once.
    """

    block_ms: Annotated[int, Meta(ge=10, le=600_000)] = 1_000
    audit_s: Annotated[float, Meta(ge=0.01, le=86_400)] = 30.0
    panic_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.0
    slow_start_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0


class RouteTableReader:
    """Answers from memory which routes of an endpoint get traffic.

    While Redis or the projectors are away, it continues with the last good table and knows its age.
    `open_reader` runs it, or the caller does as a task of its own group.
    """

    def __init__(
        self, server: Server, keys: Keys, partitions: int, settings: ReaderSettings
    ) -> None:
        self._settings = settings
        self._changed = anyio.Event()
        self._routable: dict[UUID, tuple[Route, ...]] = {}
        self._endpoint_ids: dict[UUID, UUID] = {}
        self._balancer = Balancer()
        self._listeners: list[Callable[[Iterable[UUID] | None], None]] = []
        self._moving = MovingTable(
            EventLog(server, keys, Layout(partitions), "reader"),
            self._note,
            block_ms=settings.block_ms,
            audit_s=settings.audit_s,
        )
        self._ramps = Ramps(self.endpoints, self._slow_start, self._note)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Follow until cancelled; started when the whole table is loaded for the first time."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._moving.run)
            if self._settings.slow_start_s:
                self.listen(self._ramps.note)
                tasks.start_soon(self._ramps.run)
            task_status.started()

    @property
    def _table(self) -> LoadedTable:
        return self._moving.table

    def routable(self, endpoint_id: UUID) -> tuple[Route, ...]:
        """Return the routes that share the endpoint's traffic by their `traffic_ratio`.

        Where the traffic is split between revisions, that is its effective weight. Empty where no
        route may get traffic, and for an unknown endpoint: see `endpoint`.
        """
        known = self._routable.get(endpoint_id)
        if known is None:
            endpoint = self.endpoint(endpoint_id)
            known = () if endpoint is None else self._routable_of(endpoint)
            if endpoint is not None:
                self._routable[endpoint_id] = known
                self._endpoint_ids |= dict.fromkeys(_ids(known), endpoint_id)
        return known

    def _routable_of(self, endpoint: Endpoint) -> tuple[Route, ...]:
        slow_start = self._slow_start() if self._settings.slow_start_s else None
        stale = self._table.ages.withdrawn(endpoint)
        return routable(endpoint, self._settings.panic_threshold, slow_start, stale)

    def _slow_start(self) -> SlowStart:
        return SlowStart(self._settings.slow_start_s, self._table.ages.server_ms)

    def choose(self, endpoint_id: UUID, *, key: str | bytes | None = None) -> Route | None:
        """Return the route that the next request goes to; None where no route may get traffic.

        Without a key the routes take turns by weight: 3 to 1 gives a, b, a, a. After any number of
        requests each is within one request of its exact share; after a change they go on from
        there. What is kept of an endpoint for that goes with it.

        With a key, of a user or of a conversation for example, its requests go to one route for as
        long as that gets traffic, from every process; a route that goes moves its own keys only.
        """
        routes = self.routable(endpoint_id)
        return self._balancer.choose(endpoint_id, routes) if key is None else by_key(routes, key)

    @contextmanager
    def least_loaded(self, endpoint_id: UUID) -> Iterator[Route | None]:
        """Give a block the less loaded of two routes drawn by weight, None where there are none.

        Load is the number of requests in such blocks of this reader, divided by the weight:
        `with reader.least_loaded(endpoint_id) as route: ...` around all of a request. An error that
        ends the block is reported as a failure of the route.
        """
        with self._balancer.least_loaded(endpoint_id, self.routable(endpoint_id)) as route:
            try:
                yield route
            except Exception:
                if route is not None:
                    self.report(route, ok=False)
                raise

    def report(self, route: Route, *, ok: bool) -> None:
        """Tell the health checkers how a request to *route* ended; it never waits.

        Reports are counted here and sent together: failures within half a second, successes within
        five. A route with failures is probed at once, and only probes decide about its health. What
        cannot be sent is dropped, and said once; nothing is sent of a route that is gone.
        """
        endpoint_id = self._endpoint_ids.get(route.route_id) or next(
            (one.endpoint_id for one in self.endpoints() if route.route_id in one.routes), None
        )
        if endpoint_id is not None:
            self.report_counts((endpoint_id, route.route_id), int(ok), int(not ok))

    def report_counts(self, route: RouteKey, successes: int, failures: int) -> None:
        """Tell how many requests to *route* ended well, and how many not; see `report`.

        With none of either the route is suspected: it is probed at once, and nothing is counted.
        """
        self._table.requests.add(route, successes, failures)

    def endpoint(self, endpoint_id: UUID) -> Endpoint | None:
        """Return the endpoint's state, None where it is unknown."""
        return self._table.endpoint(endpoint_id)

    def endpoints(self) -> Iterable[Endpoint]:
        """Return every endpoint of the table."""
        return self._table.endpoints()

    def health_age(self, endpoint_id: UUID, route_id: UUID) -> HealthAge | None:
        """Return how old the health of a route is, and whether it is stale.

        None where no health checker has to look at the route, and before it is known: the first
        call for an endpoint has it read, within a second. A stale route is still among the
        `routable` ones as long as its last known health is healthy, unless its health check has
        `on_stale: unhealthy`.
        """
        endpoint = self.endpoint(endpoint_id)
        route = None if endpoint is None else endpoint.routes.get(route_id)
        if endpoint is None or route is None:
            return None
        return self._table.ages.age_of(endpoint, route)

    @property
    def age_s(self) -> float:
        """Seconds for which events may lie in the log that are not in the table.

        It is measured on the log, about every second. While Redis or the projectors are away it
        grows; infinite before the first measurement.
        """
        return monotonic() - min(
            follower.distance.known_until for follower in self._table.followers
        )

    @property
    def folded_up_to(self) -> tuple[EntryId | None, ...]:
        """For each partition the entry up to which all are in the table; None: not known."""
        return tuple(follower.distance.folded_up_to for follower in self._table.followers)

    @property
    def state(self) -> FollowerState:
        """What the reader does, of the partition that is worst; see `FollowerState`."""
        return max((follower.state for follower in self._table.followers), key=_WORSE.index)

    @property
    def reason(self) -> str:
        """Why the table is not followed, of the partition that is worst; "" while it is."""
        return max(self._table.followers, key=lambda one: _WORSE.index(one.state)).reason

    @property
    def generations(self) -> tuple[int, ...]:
        """The generation in memory of each partition; 0 before the first load."""
        return tuple(follower.generation for follower in self._table.followers)

    @property
    def repairs(self) -> int:
        """Documents that an audit found to differ although no change had been missed."""
        return sum(follower.repairs for follower in self._table.followers)

    async def changed(self) -> None:
        """Wait until something in the table changes."""
        await self._changed.wait()

    def listen(self, listener: Callable[[Iterable[UUID] | None], None]) -> None:
        """Have *listener* called at each change with the endpoints that changed, None for all."""
        self._listeners.append(listener)

    def _note(self, endpoints: Iterable[UUID] | None) -> None:
        """Drop the cached routes of *endpoints*, None for all; wake the tasks that wait."""
        for listener in self._listeners:
            listener(endpoints)
        if endpoints is None:
            self._routable.clear()
            self._endpoint_ids.clear()
            endpoints = self._balancer.endpoints
        for endpoint_id in endpoints:
            for route_id in _ids(self._routable.pop(endpoint_id, ())):
                self._endpoint_ids.pop(route_id, None)
            state = self.endpoint(endpoint_id)
            if state is None or state.is_destroyed:
                self._balancer.forget(endpoint_id)
        self._changed.set()
        self._changed = anyio.Event()


def _ids(routes: Iterable[Route]) -> Iterator[UUID]:
    return (route.route_id for route in routes)


@asynccontextmanager
async def open_reader(
    log: EventLog | str | ServerSettings,
    settings: ReaderSettings | None = None,
    *,
    namespace: str = NAMESPACE,
    partitions: int | None = None,
) -> AsyncIterator[RouteTableReader]:
    """Run a reader of the route table in a task beside the caller's.

    It writes nothing but what the caller reports of its requests.

    The reader has the whole table when the block is entered.

    Args:
        log: The server's URL, or its settings, or an open log, which stays open.
        settings: How the reader follows; None: `ReaderSettings()`.
        namespace: The namespace of the log on the server.
        partitions: The number of partitions that the log must have; None: any.

    Raises:
        LayoutError: The log has another number of partitions, or there is no such log.
        ServerUnavailableError: The server cannot be reached; once the block is entered, the reader
            continues with the last good table instead.
        ServerRefusedError: The server is too old, or refuses the connection.
        ValueError: *log* is not the URL of a Redis server.
    """
    async with log_to_read(log, namespace=namespace, partitions=partitions) as opened:
        reader = RouteTableReader(
            opened.server, opened.keys, opened.partitions, settings or ReaderSettings()
        )
        async with in_background(reader.run):
            yield reader
