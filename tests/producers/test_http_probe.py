"""What a health check may say of a probe over HTTP, against servers of aiohttp and of sockets."""

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from anyio.abc import SocketAttribute, SocketStream

from events.catalogue.health_check import HealthCheck, Tls
from producers.checker.probe import ProbeSession, open_session, probe
from producers.checker.probe_result import ProbeCause, ProbeResult
from producers.checker.probes.address import Address
from producers.checker.probes.http_probe import BODY_BYTES_MAX
from tests.producers.support.certificates import Authority
from tests.producers.support.checker_ports import LOOPBACK
from tests.producers.test_probe import Answer, raw_server, with_status

TIME = {"max_wait_time": 20}
KINDS: list[dict[str, Any]] = [
    {"kind": "http", "path": "/"},
    {"kind": "tcp", "path": None},
    {"kind": "grpc", "path": None},
]


@pytest.fixture
async def session() -> AsyncIterator[ProbeSession]:
    async with open_session(LOOPBACK) as opened:
        yield opened


@asynccontextmanager
async def server(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[Address]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    served = TestServer(app, scheme="http" if context is None else "https")
    await served.start_server(shutdown_timeout=0, ssl=context)
    try:
        yield Address("127.0.0.1", served.port or 0)
    finally:
        await served.close()


class Echo:
    """Answers 200 with *body*, and keeps the requests."""

    def __init__(self, body: bytes = b"") -> None:
        self.body = body
        self.requests: list[web.BaseRequest] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        return web.Response(body=self.body)


async def result_at(session: ProbeSession, address: Address, **fields: Any) -> ProbeResult:  # noqa: ANN401 - fields of a check
    return await probe(session, address, HealthCheck(**{"path": "/", **TIME, **fields}))


async def cause_at(session: ProbeSession, address: Address, **fields: Any) -> ProbeCause | None:  # noqa: ANN401 - fields of a check
    """Return why a probe failed, None where it did not."""
    result = await result_at(session, address, **fields)
    assert result.success == (result.cause is None)
    return result.cause


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
async def test_the_method_is_asked_as_given(session: ProbeSession, method: str) -> None:
    echo = Echo()
    async with server(echo.answer) as address:
        assert await cause_at(session, address, method=method) is None
    assert [request.method for request in echo.requests] == [method]


async def test_headers_and_host_are_sent_as_given(session: ProbeSession) -> None:
    echo = Echo()
    headers = {"x-api-key": "k-1", "user-agent": "ours", "accept": "text/plain"}
    fields = {"headers": headers, "host_header": "chat.example.com:81"}
    async with server(echo.answer) as address:
        for kept in (False, True):  # each is a way of its own
            await cause_at(session, address, keep_alive=kept, **fields)
        await cause_at(session, address)
    *all_given, usual = (request.headers for request in echo.requests)
    for given in all_given:
        assert (given["X-Api-Key"], given.getall("User-Agent")) == ("k-1", ["ours"])
        assert given.getall("Accept") == ["text/plain"]
        assert given.getall("Host") == ["chat.example.com:81"]
    assert usual["User-Agent"] == "routestream"
    assert usual["Host"] == f"127.0.0.1:{address.port}"


@pytest.mark.parametrize(("status", "cause"), [(204, None), (401, None), (300, "status")])
async def test_each_status_in_the_expected_ranges_is_a_success(
    session: ProbeSession, status: int, cause: ProbeCause | None
) -> None:
    async with server(with_status(status)) as address:
        assert await cause_at(session, address, expected_status="200-299,401") == cause


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b'{"status": "ok \xc3\xbc"}', None),
        (b'{"status": "ill"}', "body"),
        (b"", "body"),
        (b"." * 65_531 + b"ok \xc3\xbc", None),
        (b"." * 65_532 + b"ok \xc3\xbc", "body"),
    ],
)
@pytest.mark.parametrize("keep_alive", [False, True])
async def test_the_text_must_be_in_the_first_64_kilobytes_of_the_body(
    session: ProbeSession, body: bytes, cause: ProbeCause | None, *, keep_alive: bool
) -> None:
    async with server(Echo(body).answer) as address:
        fields = {"body_contains": "ok ü", "keep_alive": keep_alive}
        assert await cause_at(session, address, **fields) == cause


async def test_an_endless_body_is_read_no_further_than_64_kilobytes(session: ProbeSession) -> None:
    sent = 0
    closed = anyio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"." * 1_024)
                sent += 1_024
        finally:
            closed.set()

    async with server(endless) as address:
        assert await cause_at(session, address, body_contains="ok") == "body"
        with anyio.fail_after(20):
            await closed.wait()
    # What the kernel's buffers and those of both ends take comes on top.
    assert BODY_BYTES_MAX <= sent < 100 * BODY_BYTES_MAX


async def test_a_body_that_stops_short_of_the_text_is_late(session: ProbeSession) -> None:
    never = anyio.Event()

    async def stuck(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"almost")
        await never.wait()
        return response

    async with server(stuck) as address:
        fields = {"body_contains": "ok", "max_wait_time": 0.2}
        assert await cause_at(session, address, **fields) == "answer_timeout"


async def test_no_reason_shows_a_header_or_the_body(session: ProbeSession) -> None:
    async with server(Echo(b"s3cret of the body").answer) as address:
        headers = {"authorization": "s3cret"}
        told = await result_at(session, address, headers=headers, body_contains="s3cret not there")
    assert told.cause == "body"
    assert "s3cret" not in (told.reason or "")


async def test_connections_are_kept_where_that_is_wanted_except_for_post(
    session: ProbeSession,
) -> None:
    ends: set[object] = set()

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        ends.add(request.transport.get_extra_info("peername"))
        return web.Response(text="ok")

    async with server(answer) as address:
        for fields, made in (
            ({}, 3),
            ({"keep_alive": True}, 1),
            ({"keep_alive": True, "body_contains": "ok"}, 0),
            ({"keep_alive": True, "method": "POST"}, 3),
        ):
            ends_before = len(ends)
            for _ in range(3):
                assert await cause_at(session, address, **fields) is None
            assert len(ends) - ends_before == made


async def test_a_kept_connection_that_the_route_has_closed_is_no_failure(
    session: ProbeSession,
) -> None:
    async def once(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with served_by(once) as port:
        for _ in range(5):
            assert await cause_at(session, Address("127.0.0.1", port), keep_alive=True) is None


@asynccontextmanager
async def served_by(handle: Callable[[SocketStream], Any]) -> AsyncIterator[int]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield listener.extra(SocketAttribute.local_port)  # noqa: S610 - this is no Django
        tasks.cancel_scope.cancel()


async def test_a_certificate_is_verified_by_the_checks_own_authority(
    session: ProbeSession, tmp_path: Path
) -> None:
    authority = Authority()
    context = authority.server_context(tmp_path, "127.0.0.1")
    async with server(with_status(200), context) as address:
        for tls, cause in (
            (Tls(ca=authority.pem), None),
            (Tls(verify=False), None),
            (Tls(), "tls"),
            (Tls(ca=Authority().pem), "tls"),
        ):
            assert await cause_at(session, address, tls=tls) == cause
            tcp = HealthCheck(kind="tcp", tls=tls, max_wait_time=20)
            assert (await probe(session, address, tcp)).cause == cause


async def test_a_certificate_must_name_the_host_that_is_asked_for(
    session: ProbeSession, tmp_path: Path
) -> None:
    authority = Authority()
    tls = Tls(ca=authority.pem)
    async with server(Echo().answer, authority.server_context(tmp_path, "chat.test")) as address:
        wrong = await result_at(session, address, tls=tls)
        assert await cause_at(session, address, tls=tls, host_header="chat.test:8443") is None
        assert await cause_at(session, address, tls=tls, host_header="other.test") == "tls"
    assert (wrong.reason or "").startswith("TLS: its certificate is not trusted: IP address")


async def test_a_server_without_tls_is_named(session: ProbeSession) -> None:
    async with server(with_status(200)) as address:
        tls = Tls(verify=False)
        assert await cause_at(session, address, tls=tls) == "tls"
        tcp = HealthCheck(kind="tcp", tls=tls, max_wait_time=20)
        assert (await probe(session, address, tcp)).cause == "tls"


async def test_http_to_a_server_with_tls_is_no_success(
    session: ProbeSession, tmp_path: Path
) -> None:
    context = Authority().server_context(tmp_path, "127.0.0.1")
    async with server(with_status(200), context) as address:
        assert await cause_at(session, address) in {"reset", "protocol"}


async def deaf_port(stack: AsyncExitStack) -> int:
    """Return a port at which connections are neither refused nor made: its queue is full."""
    listener = socket.socket()
    stack.callback(listener.close)
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    place = listener.getsockname()
    for _ in range(4):
        waiting = socket.socket()
        stack.callback(waiting.close)
        waiting.setblocking(False)  # noqa: FBT003 - its own interface
        waiting.connect_ex(place)
    return int(place[1])


@pytest.mark.parametrize("fields", KINDS)
async def test_no_connection_in_time_is_told_from_no_answer_in_time(
    session: ProbeSession, fields: dict[str, Any]
) -> None:
    async with AsyncExitStack() as stack:
        address = Address("127.0.0.1", await deaf_port(stack))
        result = await result_at(session, address, connect_timeout=0.1, **fields)
        assert (result.cause, result.reason) == ("connect_timeout", "no connection within 0.1 s")
        assert result.duration_s < TIME["max_wait_time"]
        whole = await result_at(session, address, **{"max_wait_time": 0.1, **fields})
        assert whole.cause == "connect_timeout"


async def test_a_connection_in_time_leaves_the_answer_the_rest_of_the_time(
    session: ProbeSession,
) -> None:
    gate = anyio.Event()

    async def slow(_request: web.Request) -> web.Response:
        with anyio.move_on_after(0.3):
            await gate.wait()
        return web.Response()

    async with server(slow) as address:
        assert await cause_at(session, address, connect_timeout=0.2) is None
        late = await result_at(session, address, max_wait_time=0.1)
    assert (late.cause, late.reason) == ("answer_timeout", "no answer within 0.1 s")


async def test_a_handshake_that_never_ends_is_no_connection_in_time(session: ProbeSession) -> None:
    async def mute(stream: SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with served_by(mute) as port:
        for fields in KINDS:
            checked = {"tls": Tls(verify=False), "connect_timeout": 0.1, **fields}
            cause = await cause_at(session, Address("127.0.0.1", port), **checked)
            assert cause == "connect_timeout"


async def test_each_way_to_fail_has_a_cause_of_its_own(session: ProbeSession) -> None:
    assert await cause_at(session, Address("127.0.0.1", unused_port())) == "refused"
    assert await cause_at(session, Address("nobody.invalid", 80)) == "name"
    assert await cause_at(session, Address("a?b", 80)) == "address"
    for answer, cause in (
        (b"", "reset"),
        (b"NOT HTTP\r\n\r\n", "protocol"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "status"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno", "protocol"),
    ):
        async with raw_server(answer) as port:
            address = Address("127.0.0.1", port)
            assert await cause_at(session, address, body_contains="ok") == cause


async def test_a_tcp_check_needs_no_http_server(session: ProbeSession) -> None:
    tcp = HealthCheck(kind="tcp", max_wait_time=20)
    async with raw_server(b"") as port:
        assert (await probe(session, Address("127.0.0.1", port), tcp)).success
    refused = await probe(session, Address("127.0.0.1", unused_port()), tcp)
    assert (refused.cause, refused.reason) == ("refused", "connection refused")
