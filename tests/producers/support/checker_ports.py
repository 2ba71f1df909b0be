"""What the tests of the health checker stand on: model servers, and the checker's ports."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import anyio
from aiohttp import web
from aiohttp.test_utils import TestServer

from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus
from events.entry.entry_id import EntryId
from events.errors import EventsError
from producers.checker.address_policy import AddressPolicy
from producers.checker.health_checker import HealthChecker
from producers.checker.probe import ProbeSession
from producers.checker.settings import CheckerSettings
from producers.errors import ProducersError
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Health, Route

ENDPOINT_ID = UUID(int=1)
STARTED_MS = 1_700_000_000_000
CHECK = HealthCheck(path="/health", interval=0.01, max_retries=3, max_wait_time=5, initial_delay=0)
LOOPBACK = AddressPolicy(("127.0.0.0/8", "::1/128"))
QUICK = CheckerSettings(interval_min_s=0.01, jitter=0, update_interval_s=0)


class Counter:
    """A number that grows, and can be waited for."""

    def __init__(self) -> None:
        self.value = 0
        self._grown = anyio.Event()

    def grow(self) -> None:
        self.value += 1
        self._grown.set()
        self._grown = anyio.Event()

    async def until(self, least: int) -> None:
        with anyio.fail_after(10):
            while self.value < least:
                await self._grown.wait()

    async def more(self, by: int) -> None:
        await self.until(self.value + by)


class ModelServer:
    """A replica: answers with *status*, or the next of *script*; hangs while told to."""

    def __init__(self) -> None:
        self.status = 200
        self.script: Iterable[int] = ()
        self.asked = Counter()
        self.paths: list[str] = []
        self.port = 0
        self.let_go: anyio.Event | None = None
        self.at_once = 0
        self.at_once_most = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        self.asked.grow()
        try:
            if self.let_go is not None:
                await self.let_go.wait()
        finally:
            self.at_once -= 1
        self.script = iter(self.script)
        return web.Response(status=next(self.script, self.status))


class Table:
    """The reader's port: what the checker is told of the endpoints."""

    def __init__(self) -> None:
        self.held: dict[UUID, Endpoint] = {}
        self._changed = anyio.Event()

    def endpoints(self) -> Iterable[Endpoint]:
        return list(self.held.values())

    async def changed(self) -> None:
        await self._changed.wait()

    def put(self, *routes: Route, check: HealthCheck | None = CHECK) -> None:
        self.held[ENDPOINT_ID] = Endpoint(
            endpoint_id=ENDPOINT_ID,
            health_check=check,
            routes={route.route_id: route for route in routes},
        )
        self.say()

    def say(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Records:
    """The recorder's port: keeps what it is told, or fails as told."""

    def __init__(self) -> None:
        self.kept: list[tuple[UUID, ModelServiceStatus]] = []
        self.reasons: list[tuple[str, int]] = []
        self.observed: list[datetime] = []
        self.flapping: list[bool] = []
        self.kept_count = Counter()
        self.tries = Counter()
        self.failures: list[EventsError | ProducersError] = []
        self.hangs = False

    async def record_status(
        self,
        endpoint_id: UUID,
        route_id: UUID,
        new_status: ModelServiceStatus,
        *,
        observed_at: datetime,
        reason: str,
        consecutive_failures: int,
    ) -> object:
        self.tries.grow()
        if self.hangs:
            await anyio.sleep_forever()
        if self.failures:
            raise self.failures.pop(0)
        assert endpoint_id == ENDPOINT_ID
        self.kept.append((route_id, new_status))
        self.reasons.append((reason, consecutive_failures))
        self.observed.append(observed_at)
        self.kept_count.grow()
        return None

    async def record_flapping(
        self,
        endpoint_id: UUID,
        route_id: UUID,
        *,
        flapping: bool,
        observed_at: datetime,
        reason: str,
    ) -> object:
        assert (endpoint_id, route_id.version) == (ENDPOINT_ID, 4)
        assert (observed_at.tzinfo, bool(reason)) == (UTC, True)
        self.flapping.append(flapping)
        return None

    @property
    def statuses(self) -> list[ModelServiceStatus]:
        return [status for _, status in self.kept]


class Owner:
    """The ownership's port: all endpoints, or none."""

    def __init__(self) -> None:
        self.owns_all = True
        self._changed = anyio.Event()

    def owns(self, _endpoint_id: UUID) -> bool:
        return self.owns_all

    async def changed(self) -> None:
        await self._changed.wait()
        self._changed = anyio.Event()

    def lose(self) -> None:
        self.owns_all = False
        self._changed.set()


class Clock:
    def __init__(self) -> None:
        self.now_s = STARTED_MS / 1_000

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """All that a checker stands on, and the checker itself."""

    def __init__(self, session: ProbeSession) -> None:
        self.session = session
        self.table = Table()
        self.records = Records()
        self.owner = Owner()
        self.clock = Clock()
        self._servers = AsyncExitStack()

    async def server(self) -> ModelServer:
        served = ModelServer()
        app = web.Application()
        app.router.add_get("/{path:.*}", served.answer)
        server = TestServer(app)
        await server.start_server(shutdown_timeout=0)
        self._servers.push_async_callback(server.close)
        served.port = server.port or 0
        return served

    @asynccontextmanager
    async def checker(self, settings: CheckerSettings = QUICK) -> AsyncIterator[HealthChecker]:
        checker = HealthChecker(
            self.table, self.records, self.owner, self.session, settings, clock=self.clock
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(checker.run)
            yield checker
            tasks.cancel_scope.cancel()

    async def aclose(self) -> None:
        await self._servers.aclose()


def route_at(
    server: ModelServer,
    *,
    health: Health = "not_checked",
    health_ms: int = 0,
    started_ms: int = STARTED_MS,
) -> Route:
    """Return a running route that leads to *server*."""
    return route_on(server.port, health=health, health_ms=health_ms, started_ms=started_ms)


def route_on(
    port: int,
    *,
    health: Health = "not_checked",
    health_ms: int = 0,
    started_ms: int = STARTED_MS,
) -> Route:
    """Return a running route that leads to a port of this machine."""
    return Route(
        route_id=uuid4(),
        session_id=None,
        app="",
        kernel_host="127.0.0.1",
        kernel_port=port,
        protocol="http",
        traffic_ratio=1.0,
        status="running",
        health=health,
        listed_at=EntryId(1, 0),
        started_at=EntryId(started_ms, 0),
        health_at=EntryId(health_ms, 0),
    )
