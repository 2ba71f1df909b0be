"""A route table that is published to the real AppProxy, and clients that count who answers."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import aiohttp
import anyio
from aiohttp import web

from consumers.processes.appproxy.appproxy_process import AppProxy
from consumers.processes.appproxy.configuration import API_SECRET
from consumers.publishers.backend_ai.publisher import publish_to_backend_ai
from consumers.publishers.proxy_ledger import ProxyState, open_ledger, read_proxies
from consumers.publishers.snapshot_feed import open_feed
from consumers.settings import Settings
from events import EventLog
from events.catalogue.route import RouteRecord
from producers.endpoints.endpoint_service import EndpointService
from projections.read_model.reader import ReaderSettings, open_reader
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.projectors import member
from tests.support.running_consumer import consuming
from tests.support.waiting import wait_until

SEEN_WITHIN_S = 40.0
BROKEN = "connection broken"
"""How a request is counted that has no answer."""

_READER = ReaderSettings(block_ms=50, audit_s=3_600)
_REQUESTS = 24


class Stage:
    """One endpoint's life, as it is recorded, and as a client of the worker sees it."""

    def __init__(self, log: EventLog, proxy: AppProxy, settings: Settings) -> None:
        self.log = log
        self.proxy = proxy
        self.settings = settings
        self.service = EndpointService(log)
        self.ports: dict[UUID, int] = {}

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator[None]:
        """Run the publisher beside the block; it is cut off at its end, as a crash would."""
        async with (
            open_reader(self.log, _READER) as reader,
            open_feed(reader, self.log.layout.identity or "", self.log.partitions) as feed,
            open_ledger(self.log, "backend-ai") as ledger,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(publish_to_backend_ai, feed, ledger, self.settings)
            yield
            tasks.cancel_scope.cancel()

    async def answers(self, endpoint_id: UUID, requests: int = _REQUESTS) -> Counter[str]:
        """Return who answered so many requests for the endpoint, through the worker's port."""
        port = await self._port(endpoint_id)
        seen: Counter[str] = Counter()
        for _ in range(requests):
            seen[await _answer(port)] += 1
        return seen

    async def until_answered_by(self, endpoint_id: UUID, *names: str) -> None:
        """Return when exactly *names* answer the endpoint's requests."""
        last: Counter[str] = Counter()

        async def as_expected() -> bool:
            nonlocal last
            last = await self.answers(endpoint_id)
            return last.keys() == set(names)

        try:
            await wait_until(as_expected, f"{names} answer", SEEN_WITHIN_S)
        except AssertionError:
            raise AssertionError(
                f"{names} should answer, but {dict(last)} did; the coordinator:"
                f" {self.proxy.coordinator.last_words} the worker: {self.proxy.worker.last_words}"
            ) from None

    async def until_noted(self, condition: Callable[[ProxyState], bool], what: str) -> ProxyState:
        """Return the proxy's notes when *condition* holds for them."""
        found: list[ProxyState] = []

        async def holds() -> bool:
            found[:] = [state for state in await read_proxies(self.log) if condition(state)]
            return bool(found)

        await wait_until(holds, what, SEEN_WITHIN_S)
        return found[0]

    async def until_gone(self, endpoint_id: UUID) -> None:
        """Return when the coordinator has the endpoint no more."""

        async def is_gone() -> bool:
            return endpoint_id not in await self.circuits()

        await wait_until(is_gone, "the coordinator has the endpoint no more", SEEN_WITHIN_S)

    async def circuits(self) -> dict[UUID, int]:
        """Return the endpoints that the coordinator has, and the port of each."""
        url, headers = self.proxy.url + "/api/worker", {"X-BackendAI-Token": API_SECRET}
        found: dict[UUID, int] = {}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(url) as response:
                workers = (await response.json())["workers"]
            for worker in workers:
                async with session.get(f"{url}/{worker['id']}/circuits") as response:
                    circuits = (await response.json())["circuits"]
                found |= {UUID(one["endpoint_id"]): one["port"] for one in circuits}
        return found

    async def _port(self, endpoint_id: UUID) -> int:
        if endpoint_id not in self.ports:

            async def is_known() -> bool:
                self.ports |= await self.circuits()
                return endpoint_id in self.ports

            await wait_until(is_known, "the coordinator has the endpoint", SEEN_WITHIN_S)
        return self.ports[endpoint_id]


async def _answer(port: int) -> str:
    timeout = aiohttp.ClientTimeout(total=20)
    connector = aiohttp.TCPConnector(force_close=True)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            session.get(f"http://127.0.0.1:{port}/") as response,
        ):
            text = await response.text()
            return text if response.status == 200 else str(response.status)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return BROKEN


@asynccontextmanager
async def open_stage(log: EventLog, proxy: AppProxy, settings: Settings) -> AsyncIterator[Stage]:
    """Keep the route table of *log* projected during the block."""
    async with consuming(member(log, ROUTE_TABLE)):
        yield Stage(log, proxy, settings)


@asynccontextmanager
async def model_servers(*names: str) -> AsyncIterator[list[RouteRecord]]:
    """Run a model server for each name, which answers with it; yields their routes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(_model_server(name)) for name in names]


@asynccontextmanager
async def _model_server(name: str) -> AsyncIterator[RouteRecord]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=name)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]
    try:
        yield RouteRecord(
            route_id=uuid4(),
            session_id=uuid4(),
            app="api",
            kernel_host="127.0.0.1",
            kernel_port=port,
            status="running",
        )
    finally:
        await runner.cleanup()
