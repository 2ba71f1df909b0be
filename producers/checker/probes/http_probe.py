"""Probe a route over HTTP/1.1."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from events.catalogue.health_check import HealthCheck
from producers.checker.address_policy import AddressPolicy
from producers.checker.probe_result import ProbeResult
from producers.checker.probes.address import Address
from producers.checker.probes.allowed_resolver import AllowedResolver
from producers.checker.probes.probe_failure import failure
from producers.checker.probes.tls_context import server_name, tls_context

BODY_BYTES_MAX = 65_536
"""Bytes of a reply's body that are read, and only where the check needs them."""

BUFFER_BYTES = 4_096
"""Bytes of a reply that wait to be read."""

_KEPT_S = 75.0
"""How long an idle connection is kept for the route's next probe."""

_HEADERS = {"User-Agent": "routestream", "Accept": "*/*", "Accept-Encoding": "identity"}


class Attempt:
    """One probe under way: whether it has a connection yet."""

    connected = False


class HttpSessions(NamedTuple):
    """Makes a new connection for each request, or keeps them."""

    fresh: aiohttp.ClientSession
    keeping: aiohttp.ClientSession


@asynccontextmanager
async def open_http_sessions(policy: AddressPolicy) -> AsyncIterator[HttpSessions]:
    """Open what requests are made with, to addresses that *policy* allows.

    Neither limits the number of connections: waiting for one would count as slowness of the route.
    """
    async with (
        _session(policy, force_close=True) as fresh,
        _session(policy, keepalive_timeout=_KEPT_S) as keeping,
    ):
        yield HttpSessions(fresh, keeping)


def _session(policy: AddressPolicy, **kept: Any) -> aiohttp.ClientSession:  # noqa: ANN401 - aiohttp's
    noticed = aiohttp.TraceConfig()
    noticed.on_connection_create_end.append(_notice_connection)
    noticed.on_connection_reuseconn.append(_notice_connection)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            resolver=AllowedResolver(policy),
            socket_factory=policy.socket_for,
            **kept,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trace_configs=[noticed],
    )


async def _notice_connection(_session: aiohttp.ClientSession, context: Any, _: object) -> None:  # noqa: ANN401 - aiohttp's
    if isinstance(attempt := context.trace_request_ctx, Attempt):
        attempt.connected = True


async def http_probe(
    sessions: HttpSessions, address: Address, check: HealthCheck, attempt: Attempt
) -> ProbeResult:
    """Ask for the path; redirects are not followed.

    Raises:
        aiohttp.ClientError, OSError: There is no connection, or no answer.
        ValueError: The address makes no URL.
    """
    # A request that may change something is not sent again over a new connection.
    keeps = check.keep_alive and check.method != "POST"
    async with (sessions.keeping if keeps else sessions.fresh).request(
        check.method,
        request_url(address, check, check.path or "/"),
        allow_redirects=False,
        headers=request_headers(check),
        timeout=aiohttp.ClientTimeout(total=None, connect=check.connect_timeout),
        read_bufsize=BUFFER_BYTES,
        trace_request_ctx=attempt,
        ssl=True if check.tls is None else tls_context(check.tls),
        server_hostname=None if check.tls is None else server_name(check, address.host),
    ) as response:
        if not check.expects(response.status):
            told = f"HTTP {response.status}, expected {check.expected_text}"
            return failure("status", told)
        if check.body_contains is None and not keeps:
            return ProbeResult(success=True)
        return await _judged_by_body(response, check)


def request_url(address: Address, check: HealthCheck, path: str) -> URL:
    """Return the URL of *path* on the route; the path cannot lead to another host."""
    scheme = "http" if check.tls is None else "https"
    return URL(f"{scheme}://route{path}").with_host(address.host).with_port(address.port)


def request_headers(check: HealthCheck) -> CIMultiDict[str]:
    """Return the headers of every request that the check makes."""
    headers = CIMultiDict(_HEADERS)
    headers.update(check.headers)
    if check.host_header is not None:
        headers["Host"] = check.host_header
    return headers


async def _judged_by_body(response: aiohttp.ClientResponse, check: HealthCheck) -> ProbeResult:
    """Read as much of the body as the check needs; a connection is kept after its end alone."""
    wanted = None if check.body_contains is None else check.body_contains.encode()
    body = bytearray()
    while len(body) < BODY_BYTES_MAX and (chunk := await response.content.readany()):
        body += chunk
        if wanted is not None and not check.keep_alive and wanted in body[:BODY_BYTES_MAX]:
            return ProbeResult(success=True)
    if wanted is None or wanted in body[:BODY_BYTES_MAX]:
        return ProbeResult(success=True)
    return failure("body", f"HTTP {response.status}, without the expected text in its body")
