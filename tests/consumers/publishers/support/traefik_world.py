"""What the tests of Traefik stand on: model servers, tables, requests through the real program."""

from asyncio import AbstractServer
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import anyio
from aiohttp import web

from consumers.processes.traefik_process import TraefikProcess
from consumers.publishers.proxy_ledger import ProxyLedger, open_ledger
from consumers.publishers.publisher_definition import PublisherDefinition
from consumers.publishers.snapshot_feed import SnapshotFeed, open_feed
from consumers.publishers.table_snapshot import TableSnapshot, published, revision_of, snapshot_of
from consumers.publishers.traefik.traefik_configuration import REVISION_HEADER
from consumers.settings import Settings
from events.background import in_background
from events.catalogue.route import RouteRecord
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from projections.read_model.reader import ReaderSettings, open_reader
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.routing import routable
from tests.support.waiting import wait_until

QUICK = ReaderSettings(block_ms=50)
Answers = Counter[str]
"""How often each model server answered, and how often each other status came."""


class ModelServer:
    """Answers every request with its name.

    Attributes:
        go_on: Until it is set, requests get no answer.
        requests: How many came.
        streaming: How many of them get their answer piece by piece now.
        paths: Their paths.
    """

    def __init__(self, name: str) -> None:
        self.name, self.port = name, 0
        self.route_id = uuid4()
        self.session_id = uuid4()
        self.requests = self.streaming = 0
        self.paths: set[str] = set()
        self.go_on = anyio.Event()
        self.go_on.set()
        self.end_streams = anyio.Event()
        self._runner: web.AppRunner | None = None
        self._listener: AbstractServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._listener = site._server

    def hang(self) -> None:
        """Let requests come, and answer none until `go_on` is set."""
        self.go_on = anyio.Event()

    async def kill(self) -> None:
        """Listen no more, and break all connections, at once."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        if self._listener is not None:
            self._listener.close()
        for connection in list(runner.server.connections if runner.server else ()):
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        self.paths.add(request.path)
        await self.go_on.wait()
        if "stream" in request.query:
            return await self._stream(request)
        return web.Response(text=self.name)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Send the name piece by piece, until it may end."""
        response = web.StreamResponse()
        await response.prepare(request)
        self.streaming += 1
        await response.write(self.name.encode())
        await self.end_streams.wait()
        await response.write(self.name.encode())
        self.streaming -= 1
        return response

    def record(self, **fields: Any) -> RouteRecord:  # noqa: ANN401 - the record's fields
        return RouteRecord(
            route_id=self.route_id,
            session_id=self.session_id,
            kernel_host="127.0.0.1",
            kernel_port=self.port,
            status="running",
            **fields,
        )

    def route(self, **fields: Any) -> Route:  # noqa: ANN401 - the route's fields
        return Route(
            **{
                "route_id": self.route_id,
                "session_id": self.session_id,
                "app": "",
                "kernel_host": "127.0.0.1",
                "kernel_port": self.port,
                "protocol": "http",
                "traffic_ratio": 1.0,
                "status": "running",
                "health": "not_checked",
                "listed_at": EntryId(1, 1),
                **fields,
            }
        )


@asynccontextmanager
async def model_servers(*names: str) -> AsyncIterator[list[ModelServer]]:
    """Run a model server of each name."""
    servers = [ModelServer(name) for name in names]
    try:
        for server in servers:
            await server.start()
        yield servers
    finally:
        for server in servers:
            server.go_on.set()
            server.end_streams.set()
            await server.kill()


def endpoint(number: int, *routes: Route, version: EntryId, **fields: Any) -> Endpoint:  # noqa: ANN401 - the endpoint's fields
    """Return an endpoint as the route table has it."""
    return Endpoint(
        **{
            "endpoint_id": UUID(int=number),
            "version": version,
            "name": f"model-{number}",
            "created_at": EntryId(1, number),
            "routes": {route.route_id: route for route in routes},
            **fields,
        }
    )


def snapshot(*endpoints: Endpoint) -> TableSnapshot:
    """Return the snapshot of a table of *endpoints*."""
    revision = revision_of(endpoints, 1)
    present = [published(one, routable(one)) for one in endpoints if not one.is_destroyed]
    return snapshot_of("a-log", revision, present)


class Requests:
    """Sends requests through one Traefik, and counts who answers."""

    def __init__(self, traefik: TraefikProcess, session: aiohttp.ClientSession) -> None:
        self._traefik, self._session = traefik, session
        self.answers: Answers = Counter()

    async def send(self, path: str, count: int = 1, host: str | None = None) -> Answers:
        """Send *count* requests one after another, and return who answered them."""
        answers: Answers = Counter()
        for _ in range(count):
            answers[await self.ask(path, host)] += 1
        return answers

    async def ask(self, path: str, host: str | None = None, method: str = "GET") -> str:
        """Return the name that answers, else the status, else `failed`."""
        headers = {} if host is None else {"Host": host}
        body = b"a question" if method == "POST" else None
        url = f"{self._traefik.url}{path}"
        try:
            async with self._session.request(method, url, headers=headers, data=body) as response:
                text = await response.text()
                return text if response.status == 200 else str(response.status)
        except aiohttp.ClientError:
            return "failed"

    async def until(self, path: str, *names: str, host: str | None = None) -> None:
        """Wait until exactly *names* answer, counted over a few requests."""

        async def answered() -> bool:
            return set(await self.send(path, 2 * len(names) + 2, host)) == set(names)

        await wait_until(answered, f"{path} is answered by {', '.join(names)}", 30.0)

    async def until_newest(self, path: str, published: "Publishing") -> None:
        """Wait until *path* is routed by the newest revision.

        Traefik changes its entry points one after another, the one of its API perhaps first.
        """

        async def is_newest() -> bool:
            newest = published.feed.newest
            async with self._session.get(f"{self._traefik.url}{path}") as response:
                shown = response.headers.get(REVISION_HEADER)
            return newest is not None and shown == str(newest.revision)

        await wait_until(is_newest, f"{path} is routed by the newest revision", 30.0)

    @asynccontextmanager
    async def load(
        self, path: str, clients: int = 4, method: str = "GET"
    ) -> AsyncIterator[Answers]:
        """Send requests all the time from so many clients during the block, and count."""
        answers: Answers = Counter()

        async def client() -> None:
            while True:
                answers[await self.ask(path, method=method)] += 1
                await anyio.sleep(0.005)

        async with anyio.create_task_group() as tasks:
            for _ in range(clients):
                tasks.start_soon(client)
            yield answers
            tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def streams(self, path: str, server: ModelServer, count: int) -> AsyncIterator[list[str]]:
        """Hold so many answers of *server* open during the block; have them whole at its end."""
        answers: list[str] = []

        async def client() -> None:
            answers.append(await self.ask(f"{path}?stream=yes"))

        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(client)
            await wait_until(lambda: server.streaming == count, f"{count} streams", 30.0)
            yield answers
            server.end_streams.set()


@asynccontextmanager
async def requests_through(traefik: TraefikProcess) -> AsyncIterator[Requests]:
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Requests(traefik, session)


async def until_counted(answers: Answers, more: int) -> None:
    """Wait until *more* requests were answered."""
    seen = answers.total()
    await wait_until(lambda: answers.total() >= seen + more, f"{more} more requests", 30.0)


class Publishing:
    """A publisher that runs on the table of a log."""

    def __init__(self, feed: SnapshotFeed, ledger: ProxyLedger) -> None:
        self.feed, self.ledger = feed, ledger

    async def until_table(self, version: EntryId) -> None:
        """Wait until the publisher's table shows the entry *version*."""

        def is_shown() -> bool:
            newest = self.feed.newest
            return newest is not None and newest.revision.shows(0, version)

        await wait_until(is_shown, f"the table shows {version}", 30.0)

    async def until_acknowledged(self, proxy: str) -> None:
        """Wait until *proxy* has the newest revision of the feed."""

        def is_there() -> bool:
            newest, state = self.feed.newest, self.ledger.proxy(proxy).state
            return newest is not None and state.acknowledged == str(newest.revision)

        await wait_until(is_there, f"{proxy} has acknowledged the newest revision", 30.0)


@asynccontextmanager
async def publishing(
    log: EventLog, publisher: PublisherDefinition, settings: Settings
) -> AsyncIterator[Publishing]:
    """Run a publisher during the block."""
    async with (
        open_reader(log, QUICK) as reader,
        open_feed(reader, log.layout.identity or "", log.partitions) as feed,
        open_ledger(log, publisher.name) as ledger,
    ):

        async def run(*, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:  # noqa: ANN401 - anyio's
            task_status.started()
            await publisher.publish(feed, ledger, settings)

        async with in_background(run):
            yield Publishing(feed, ledger)
