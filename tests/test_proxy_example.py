"""The proxy of the examples, run as a process before real model servers."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from uuid import uuid4

import anyio
import pytest
from aiohttp import ClientSession, ClientTimeout, web
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from consumers.processes.embedded import EmbeddedServer
from events import EventLog, HealthCheck, RouteRecord, open_log
from producers import EndpointService
from projections import ROUTE_TABLE
from projections.requests.request_counts import read_request_counts
from tests.support.histories import E, created
from tests.support.packages import ROOT, environment_with
from tests.support.projectors import member
from tests.support.running_consumer import consuming, until_settled
from tests.support.waiting import wait_until

SCRIPT = ROOT / "examples" / "proxy.py"
UNHEARD_OF = uuid4()
CHUNK = b"token " * 1_000


class ModelServer:
    """A model server on a port of its own, which counts its requests and answers with its name."""

    def __init__(self, name: str, weight: float) -> None:
        self.name = name
        self.requests = 0
        self.given_up = anyio.Event()
        self.proceed = anyio.Event()
        self.received = b""
        self._weight = weight
        self._port = 0
        self._route_id = uuid4()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/stream", self._stream)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        try:
            yield
        finally:
            await self.kill()

    async def kill(self) -> None:
        await self._runner.cleanup()

    @property
    def record(self) -> RouteRecord:
        return RouteRecord(
            route_id=self._route_id,
            session_id=self._route_id,
            kernel_host="127.0.0.1",
            kernel_port=self._port,
            traffic_ratio=self._weight,
            status="running",
        )

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        told = {"X-Told": f"{request.method} {request.raw_path}", "X-Seen": str(request.headers)}
        return web.Response(status=201, text=self.name, headers=told)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Take the first part of the body and answer one, then the rest."""
        self.received = await request.content.readexactly(len(CHUNK))
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(CHUNK)
        try:
            await self.proceed.wait()
        except BaseException:
            self.given_up.set()
            raise
        self.received += await request.content.read()
        await response.write(CHUNK)
        return response


@pytest.fixture
async def log(own_server: EmbeddedServer) -> AsyncIterator[EventLog]:
    """The log that a proxy reads by default."""
    async with open_log(own_server.url) as opened:
        yield opened


class Proxied:
    """An endpoint with model servers, and the proxy before them."""

    def __init__(self, log: EventLog, client: ClientSession, base: str) -> None:
        self.service = EndpointService(log)
        self.url = f"{base}/{E}"
        self.base = base
        self.client = client

    async def get(self, path: str = "/v1") -> tuple[int, str]:
        async with self.client.get(f"{self.url}{path}") as answer:
            return answer.status, await answer.text()

    async def until_answered(self, status: int, times: int = 1) -> None:
        """Wait until that many requests in a row are answered so."""

        async def is_answered() -> bool:
            return {(await self.get())[0] for _ in range(times)} == {status}

        await wait_until(is_answered, f"{times} requests are answered with {status}", 30)


@asynccontextmanager
async def proxied(log: EventLog, *servers: ModelServer) -> AsyncIterator[Proxied]:
    """Record the servers as healthy routes, and run the proxy once all that is folded."""
    service = EndpointService(log)
    await service.create(created(health_check=HealthCheck(path="/health")))
    async with AsyncExitStack() as running:
        for server in servers:
            await running.enter_async_context(server.serving())
        await service.set_route_list(E, [server.record for server in servers])
        for server in servers:
            await service.record_status(E, server.record.route_id, "healthy")
        await running.enter_async_context(consuming(member(log, ROUTE_TABLE)))
        await until_settled(log, ROUTE_TABLE.read_model)
        base = await running.enter_async_context(proxy_process(log.server.settings.url))
        client = await running.enter_async_context(ClientSession(timeout=ClientTimeout(60)))
        yield Proxied(log, client, base)


@asynccontextmanager
async def proxy_process(redis_url: str) -> AsyncIterator[str]:
    """Run the example, and give the address on which it says that it serves."""
    process: Process
    async with await anyio.open_process(
        [sys.executable, str(SCRIPT)],
        env=environment_with(None, REDIS_URL=redis_url, PORT="0"),
        stdin=DEVNULL,
        stderr=None,
    ) as process:
        assert process.stdout is not None
        try:
            with anyio.fail_after(60):
                line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 200)
            yield line.decode().removeprefix("serving on ")
        finally:
            process.terminate()


async def test_requests_are_shared_out_exactly_by_weight(log: EventLog) -> None:
    a, b = ModelServer("a", 3.0), ModelServer("b", 1.0)
    async with proxied(log, a, b) as proxy:
        answers = [await proxy.get() for _ in range(40)]
        assert [status for status, _ in answers] == [201] * 40
        assert (a.requests, b.requests) == (30, 10)
        assert {name for _, name in answers} == {"a", "b"}


async def test_a_killed_replica_gets_no_request_once_its_health_is_recorded(log: EventLog) -> None:
    a, b = ModelServer("a", 3.0), ModelServer("b", 1.0)
    async with proxied(log, a, b) as proxy:
        await a.kill()
        statuses = {(await proxy.get())[0] for _ in range(4)}
        assert statuses == {502, 201}  # nobody has recorded it yet
        await proxy.service.record_status(E, a.record.route_id, "unhealthy")
        await proxy.until_answered(201, times=4)
        before = b.requests
        assert {await proxy.get() for _ in range(8)} == {(201, "b")}
        assert b.requests == before + 8


async def test_how_requests_ended_is_reported_route_by_route(log: EventLog) -> None:
    a, b = ModelServer("a", 1.0), ModelServer("b", 1.0)
    async with proxied(log, a, b) as proxy:
        await a.kill()
        assert [(await proxy.get())[0] for _ in range(6)].count(502) == 3
        routes = [(E, a.record.route_id), (E, b.record.route_id)]

        async def is_reported() -> bool:
            found = await read_request_counts(log, routes, 60)
            return [(found[one].successes, found[one].failures) for one in routes] == [
                (0, 3),
                (3, 0),
            ]

        await wait_until(is_reported, "three failures of the one, three successes of the other")


async def test_without_a_route_the_proxy_answers_503_until_there_is_one(log: EventLog) -> None:
    a = ModelServer("a", 1.0)
    async with proxied(log, a) as proxy:
        await proxy.service.set_route_list(E, [])
        await proxy.until_answered(503)
        async with proxy.client.get(f"{proxy.base}/{UNHEARD_OF}/v1") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        async with proxy.client.get(f"{proxy.base}/no-endpoint/v1") as answer:
            assert answer.status == 404
        await proxy.service.set_route_list(E, [a.record])
        await proxy.service.record_status(E, a.record.route_id, "healthy")
        await proxy.until_answered(201)


async def test_method_path_query_and_headers_are_passed_on(log: EventLog) -> None:
    a = ModelServer("a", 1.0)
    async with proxied(log, a) as proxy:
        path = "/v1/a%20b%2Fc?q=%C3%BC&q=2"
        headers = {"X-Mine": "yes", "Connection": "close, X-Hop", "X-Hop": "no"}
        async with proxy.client.delete(f"{proxy.base}/{E}{path}", headers=headers) as answer:
            assert answer.headers["X-Told"] == f"DELETE {path}"
            assert "X-Mine" in answer.headers["X-Seen"]
            assert "X-Hop" not in answer.headers["X-Seen"]
        async with proxy.client.get(proxy.url) as answer:
            assert answer.headers["X-Told"] == "GET /"


async def test_both_bodies_are_streamed(log: EventLog) -> None:
    a = ModelServer("a", 1.0)
    async with proxied(log, a) as proxy:
        answered = anyio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield CHUNK
            await answered.wait()  # the answer begins while the request has not ended
            yield CHUNK * 200

        with anyio.fail_after(60):
            async with proxy.client.post(f"{proxy.url}/stream", data=body()) as answer:
                assert await answer.content.readexactly(len(CHUNK)) == CHUNK
                answered.set()
                a.proceed.set()
                assert await answer.content.read() == CHUNK
        assert a.received == CHUNK * 201


async def test_a_request_whose_client_goes_away_is_given_up(log: EventLog) -> None:
    a = ModelServer("a", 1.0)
    async with proxied(log, a) as proxy:
        with anyio.fail_after(60):
            async with proxy.client.post(f"{proxy.url}/stream", data=CHUNK) as answer:
                await answer.content.readexactly(len(CHUNK))
                answer.close()
            await a.given_up.wait()


def test_the_example_reads_on_one_screen_or_two() -> None:
    assert len(Path(SCRIPT).read_text().splitlines()) <= 100
