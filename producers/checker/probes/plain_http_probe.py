"""Ask a route at an IPv4 address over HTTP/1.1 without TLS: what most probes are, at least cost.

A checker makes a thousand of them in a second. What needs more of HTTP goes through `http_probe`.
"""

import asyncio
import re
import socket
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Final

import anyio

from events.catalogue.health_check import HealthCheck
from producers.checker.address_policy import AddressPolicy
from producers.checker.probe_result import ProbeResult
from producers.checker.probes.address import Address
from producers.checker.probes.http_probe import Attempt, request_headers, request_url
from producers.checker.probes.probe_failure import NoAnswerError, failure

HEAD_BYTES_MAX: Final = 65_536
"""Bytes of a reply's head that are read."""

_CHUNK_BYTES = 4_096
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})( .*)?\Z")
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\0\r\n]*\Z")
_BEGIN, _END = b"HTTP/1.", b"\r\n\r\n"
_SWITCHING_PROTOCOLS = 101


def is_plain(address: Address, check: HealthCheck) -> bool:
    """Whether the probe needs no more of HTTP than this module knows."""
    needs_more = check.tls or check.keep_alive or check.body_contains is not None
    return not needs_more and check.method != "POST" and _is_ipv4(address.host)


@lru_cache(10_000)
def _is_ipv4(host: str) -> bool:
    try:
        return str(IPv4Address(host)) == host
    except ValueError:
        return False


async def plain_http_probe(
    policy: AddressPolicy, address: Address, check: HealthCheck, attempt: Attempt
) -> ProbeResult:
    """Ask for the path over a connection of its own, and read the head of the reply.

    Raises:
        OSError: There is no connection, or it was closed.
        NoAnswerError: What came is no HTTP.
    """
    policy.check(address.host)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(0)
        await _connect(loop, connection, address, check)
        attempt.connected = True
        await loop.sock_sendall(connection, _request(address, check))
        status = await _status(loop, connection)
    if check.expects(status):
        return ProbeResult(success=True)
    return failure("status", f"HTTP {status}, expected {check.expected_text}")


async def _connect(
    loop: asyncio.AbstractEventLoop, connection: socket.socket, address: Address, check: HealthCheck
) -> None:
    place = (address.host, address.port)
    if check.connect_timeout is None:  # the whole probe has a time of its own
        await loop.sock_connect(connection, place)
        return
    with anyio.fail_after(check.connect_timeout_s):
        await loop.sock_connect(connection, place)


def _request(address: Address, check: HealthCheck) -> bytes:
    host = address.host if address.port == 80 else f"{address.host}:{address.port}"
    headers = {"Host": host, **request_headers(check), "Connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{check.method} {_target(check.path or '/')} HTTP/1.1\r\n{lines}\r\n".encode()


@lru_cache(10_000)
def _target(path: str) -> str:
    """Return the path as it is sent: what a URL may not hold is quoted."""
    check = HealthCheck(path="/")
    return request_url(Address("127.0.0.1", 80, "http"), check, path).raw_path_qs


async def _status(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> int:
    """Return the status of the reply; one that only says that it will come is passed over."""
    held = b""
    while True:
        while _END not in held:
            chunk = await loop.sock_recv(connection, _CHUNK_BYTES)
            if not chunk:
                raise ConnectionResetError("closed within the head of the reply")
            held += chunk
            if held[: len(_BEGIN)] != _BEGIN[: len(held)] or len(held) > HEAD_BYTES_MAX:
                raise NoAnswerError("no valid HTTP answer")
        head, _, held = held.partition(_END)
        status = _status_in(head)
        if status >= 200 or status == _SWITCHING_PROTOCOLS:
            return status


def _status_in(head: bytes) -> int:
    first, *headers = head.split(b"\r\n")
    found = _STATUS.match(first)
    if found is None or not all(map(_HEADER.match, headers)):
        raise NoAnswerError("no valid HTTP answer")
    return int(found[1])
