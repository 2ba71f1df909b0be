"""The cheap way to ask over HTTP finds what the whole client finds."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck, Tls
from producers.checker.probe import open_session
from producers.checker.probe_result import ProbeCause
from producers.checker.probes.address import Address
from producers.checker.probes.http_probe import Attempt, http_probe
from producers.checker.probes.plain_http_probe import is_plain, plain_http_probe
from producers.checker.probes.probe_failure import EXPECTED_ERRORS, failure_of
from tests.producers.support.checker_ports import LOOPBACK

CHECK = HealthCheck(path="/health", max_wait_time=5.0)
Outcome = tuple[bool, ProbeCause | None]


class RawServer:
    """Says the pieces of an answer to each request, and keeps what it was asked."""

    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        self.pieces = pieces
        self.asked: list[bytes] = []
        self.address = Address("127.0.0.1", 0)

    async def handle(self, stream: SocketStream) -> None:
        async with stream:
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += await stream.receive()
            self.asked.append(asked)
            for piece in self.pieces:
                await stream.send(piece)
                await anyio.sleep(0.01)


@asynccontextmanager
async def raw_server(*pieces: bytes) -> AsyncIterator[RawServer]:
    server = RawServer(pieces)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.handle)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - this is no Django
        server.address = Address("127.0.0.1", port)
        yield server
        tasks.cancel_scope.cancel()


async def both(address: Address, check: HealthCheck = CHECK) -> tuple[Outcome, Outcome]:
    """Return what the cheap way finds, and what the whole client does."""
    outcomes: list[Outcome] = []
    async with open_session(LOOPBACK) as session:
        for is_cheap in (True, False):
            attempt = Attempt()
            try:
                if is_cheap:
                    result = await plain_http_probe(LOOPBACK, address, check, attempt)
                else:
                    result = await http_probe(session.http, address, check, attempt)
            except EXPECTED_ERRORS as error:
                result = failure_of(error, check, connected=attempt.connected)
            outcomes.append((result.success, result.cause))
    return outcomes[0], outcomes[1]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",), (True, None)),
        ((b"HTTP/1.0 200 OK\r\n\r\n",), (True, None)),
        ((b"HTTP/1.1 200 \r\nA: b\r\n\r\nbody",), (True, None)),
        ((b"HT", b"TP/1.1 2", b"00 OK\r\nContent-Le", b"ngth: 0\r\n\r", b"\n"), (True, None)),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"), (True, None)),
        ((b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 No\r\n\r\n",), (False, "status")),
        ((b"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",), (False, "status")),
        ((b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",), (False, "protocol")),
        ((b"HTTP/1.1 20 OK\r\n\r\n",), (False, "protocol")),
        ((b"SSH-2.0-OpenSSH_9.6\r\n",), (False, "protocol")),
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), (False, "reset")),
        ((), (False, "reset")),
    ],
)
async def test_an_answer_means_the_same_as_to_the_whole_client(
    pieces: tuple[bytes, ...], expected: Outcome
) -> None:
    async with raw_server(*pieces) as server:
        cheap, whole = await both(server.address)
    assert cheap == expected
    assert whole == expected


async def test_the_same_is_asked_as_by_the_whole_client() -> None:
    check = replace(CHECK, path="/v1/ä?x=%20y", headers={"X-Key": "k"}, method="HEAD")
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\n") as server:
        for one in (check, replace(check, host_header="model.example:8")):
            await both(server.address, one)
    for cheap, whole in zip(server.asked[::2], server.asked[1::2], strict=True):
        (first, *headers), (other_first, *others) = cheap.split(b"\r\n"), whole.split(b"\r\n")
        assert first == other_first
        assert sorted(headers) == sorted(others)


async def test_an_address_outside_the_networks_is_not_connected_to() -> None:
    cheap, whole = await both(Address("169.254.169.254", 80))
    assert cheap == whole == (False, "not_allowed")


async def test_a_refused_connection_and_a_late_one_are_told_apart() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        cheap, whole = await both(Address("127.0.0.1", nobody.getsockname()[1]))
    assert cheap == whole == (False, "refused")


@pytest.mark.parametrize(
    ("host", "check", "plain"),
    [
        ("10.0.0.1", CHECK, True),
        ("model.example", CHECK, False),
        ("::1", CHECK, False),
        ("10.0.0.1", replace(CHECK, tls=Tls()), False),
        ("10.0.0.1", replace(CHECK, keep_alive=True), False),
        ("10.0.0.1", replace(CHECK, body_contains="ok"), False),
        ("10.0.0.1", replace(CHECK, method="POST"), False),
    ],
)
def test_what_needs_more_of_http_goes_through_the_whole_client(
    host: str, check: HealthCheck, *, plain: bool
) -> None:
    assert is_plain(Address(host, 8_000), check) == plain
