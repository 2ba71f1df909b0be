import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from anyio.abc import SocketAttribute, SocketStream
from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck
from events.catalogue.route import Protocol
from producers.checker.probe import ProbeSession, open_session
from producers.checker.probe import probe as timed_probe
from producers.checker.probe_result import ProbeCause, ProbeResult
from producers.checker.probes.address import Address
from tests.producers.support.checker_ports import LOOPBACK

WELL = ProbeResult(success=True)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def session() -> AsyncIterator[ProbeSession]:
    async with open_session(LOOPBACK) as opened:
        yield opened


async def probe(session: ProbeSession, address: Address, check: HealthCheck) -> ProbeResult:
    """Return how a probe ended, whatever time it took."""
    result = await timed_probe(session, address, check)
    assert result.duration_s > 0
    return replace(result, duration_s=0.0)


@asynccontextmanager
async def model_server(answer: Answer) -> AsyncIterator[Address]:
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0)
    try:
        yield Address("127.0.0.1", server.port or 0)
    finally:
        await server.close()


def with_status(status: int) -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    return answer


def ill(reason: str, cause: ProbeCause) -> ProbeResult:
    return ProbeResult(success=False, reason=reason, cause=cause)


@pytest.mark.parametrize("expected", [200, 204, 503])
async def test_exactly_the_expected_status_is_a_success(
    session: ProbeSession, expected: int
) -> None:
    check = HealthCheck(path="/health", expected_status_code=expected)
    async with model_server(with_status(expected)) as address:
        assert await probe(session, address, check) == WELL


async def test_any_other_status_is_none(session: ProbeSession) -> None:
    async with model_server(with_status(500)) as address:
        result = await probe(session, address, HealthCheck(path="/health"))
    assert result == ill("HTTP 500, expected 200", "status")


async def test_redirects_are_not_followed(session: ProbeSession) -> None:
    asked: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound("/elsewhere")

    async with model_server(redirect) as address:
        result = await probe(session, address, HealthCheck(path="/health"))
        assert result == ill("HTTP 302, expected 200", "status")
        found = HealthCheck(path="/health", expected_status_code=302)
        assert await probe(session, address, found) == WELL
    assert asked == ["/health", "/health"]


async def test_the_path_with_its_query_is_asked_as_given(session: ProbeSession) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response()

    async with model_server(answer) as address:
        await probe(session, address, HealthCheck(path="/v1/health/ready?deep=1&of=a%20b"))
        await probe(session, address, HealthCheck(path="//elsewhere.test/health"))
    assert asked == ["/v1/health/ready?deep=1&of=a%20b", "//elsewhere.test/health"]


async def test_a_route_that_does_not_answer_in_time_has_failed(session: ProbeSession) -> None:
    never = anyio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    async with model_server(hang) as address:
        result = await probe(session, address, HealthCheck(path="/", max_wait_time=0.05))
    assert result == ill("no answer within 0.05 s", "answer_timeout")


async def test_the_status_decides_without_the_body(session: ProbeSession) -> None:
    never = anyio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x" * 100_000)
        await never.wait()
        return response

    async with model_server(endless) as address:
        assert await probe(session, address, HealthCheck(path="/", max_wait_time=5.0)) == WELL


async def test_a_refused_connection_is_named(session: ProbeSession) -> None:
    for protocol in ("http", "tcp"):
        address = Address("127.0.0.1", unused_port(), protocol)
        result = await probe(session, address, HealthCheck(path="/"))
        assert result == ill("connection refused", "refused")


async def test_a_host_that_nobody_knows_is_named(session: ProbeSession) -> None:
    for protocol in ("http", "tcp"):
        address = Address("nobody.invalid", 8000, protocol)
        result = await probe(session, address, HealthCheck(path="/"))
        assert result == ill("the name of its host is not known", "name")


async def test_an_address_that_makes_no_url_is_a_failure(session: ProbeSession) -> None:
    result = await probe(session, Address("a?b", 8000), HealthCheck(path="/"))
    assert not result.success
    assert (result.reason or "").startswith("its address cannot be used: ")


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[int]:
    async def handle(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield listener.extra(SocketAttribute.local_port)  # noqa: S610 - this is no Django
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "connection closed without an answer"),
        (b"NOT HTTP AT ALL\r\n\r\n", "no valid HTTP answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 100_000, None),
    ],
)
async def test_what_is_no_http_answer_is_a_failure(
    session: ProbeSession, answer: bytes, reason: str | None
) -> None:
    async with raw_server(answer) as port:
        result = await probe(session, Address("127.0.0.1", port), HealthCheck(path="/"))
    assert not result.success
    assert reason in (None, result.reason)


@pytest.mark.parametrize("protocol", ["tcp", "grpc", "preopen"])
async def test_without_http_a_connection_is_a_success(
    session: ProbeSession, protocol: Protocol
) -> None:
    async with raw_server(b"") as port:
        address = Address("127.0.0.1", port, protocol)
        assert await probe(session, address, HealthCheck(path="/")) == WELL


async def test_h2_is_asked_over_http(session: ProbeSession) -> None:
    async with model_server(with_status(500)) as address:
        result = await probe(session, address._replace(protocol="h2"), HealthCheck(path="/"))
    assert result == ill("HTTP 500, expected 200", "status")


@pytest.mark.parametrize("protocol", ["http", "tcp"])
async def test_no_file_left_to_open_is_the_checkers_own_failure(
    session: ProbeSession, protocol: Protocol
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        address = Address("127.0.0.1", 1, protocol)
        result = await probe(session, address, HealthCheck(path="/"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (result.success, result.failed_here) == (False, True)
    assert "Too many open files" in (result.reason or "")


async def test_a_refused_connection_is_the_routes_own_failure(session: ProbeSession) -> None:
    result = await probe(session, Address("127.0.0.1", unused_port()), HealthCheck(path="/"))
    assert (result.success, result.failed_here, result.is_late) == (False, False, False)
