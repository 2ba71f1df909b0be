"""Probe a route once, and name the reason of a failure."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
import anyio
from yarl import URL

from events.catalogue.health_check import HealthCheck
from events.catalogue.route import Protocol
from producers.checker.address_policy import AddressPolicy, AddressRefusedError
from producers.checker.probe_result import ProbeCause, ProbeResult

BODY_BYTES_MAX = 4_096
"""Bytes of a reply's body that are read from the connection; none of them is used."""

REASON_CHARACTERS_MAX = 256
"""Maximum characters of the reason why a probe failed."""

_OWN_LACKS = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM),
        *(errno.EADDRNOTAVAIL, errno.ENETDOWN),
    }
)
"""What this machine lacks where it cannot connect to any route: files, memory, ports, a network."""

_HTTP: frozenset[Protocol] = frozenset({"http", "h2"})
_HEADERS = {"User-Agent": "routestream"}
_NO_TIMEOUTS = aiohttp.ClientTimeout(total=None, sock_connect=None)


class Address(NamedTuple):
    """Where a route answers, and over which protocol."""

    host: str
    port: int
    protocol: Protocol = "http"

    def __str__(self) -> str:
        return f"{self.protocol} {self.host}:{self.port}"


class ProbeSession(NamedTuple):
    """What probes are made with; see `open_session`."""

    http: aiohttp.ClientSession
    policy: AddressPolicy


@asynccontextmanager
async def open_session(policy: AddressPolicy) -> AsyncIterator[ProbeSession]:
    """Open a session fit for probes of the addresses that *policy* allows.

    A probe finds out whether the route accepts new connections, so none is reused. The session
    does not limit their number: waiting for one would count as slowness of the route.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=policy.socket_for),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as http:
        yield ProbeSession(http, policy)


async def probe(session: ProbeSession, address: Address, health_check: HealthCheck) -> ProbeResult:
    """Probe the route once, for at most `max_wait_time` seconds; redirects are not followed.

    Over HTTP only `expected_status_code` is a success; over any other protocol a connection is.
    A failure of the route does not raise. An address that may not be connected to says nothing of
    the route, as what this machine lacks does not.
    """
    try:
        with anyio.fail_after(health_check.max_wait_time):
            if address.protocol in _HTTP and health_check.path is not None:
                return await _get(session.http, _url(address, health_check.path), health_check)
            return await _connect(session.policy, address)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return ProbeResult(
            success=False,
            reason=_why(error, health_check)[:REASON_CHARACTERS_MAX],
            cause=_cause(error),
        )


def _url(address: Address, path: str) -> URL:
    """Return the URL to request; the path cannot lead to another host."""
    return URL(f"http://route{path}").with_host(address.host).with_port(address.port)


async def _get(session: aiohttp.ClientSession, url: URL, health_check: HealthCheck) -> ProbeResult:
    async with session.get(
        url,
        allow_redirects=False,
        headers=_HEADERS,
        timeout=_NO_TIMEOUTS,
        read_bufsize=BODY_BYTES_MAX,
    ) as response:
        if response.status == health_check.expected_status_code:
            return ProbeResult(success=True)
        expected = health_check.expected_status_code
        told = f"HTTP {response.status}, expected {expected}"
        return ProbeResult(success=False, reason=told, cause="status")


async def _connect(policy: AddressPolicy, address: Address) -> ProbeResult:
    """Connect to the first address of the host that the policy allows, and that answers."""
    failures: list[OSError] = []
    found = await anyio.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    for *_, place in found:
        try:
            policy.check(str(place[0]))
            stream = await anyio.connect_tcp(str(place[0]), int(place[1]))
        except OSError as failure:
            failures.append(failure)
        else:
            await stream.aclose()
            return ProbeResult(success=True)
    # What an allowed address did says more than that another one is not allowed.
    raise min(failures, key=lambda failure: isinstance(failure, AddressRefusedError))


def _why(error: Exception, health_check: HealthCheck) -> str:
    """Say in a few words why the probe failed, for an operator who looks for the cause."""
    match error:
        case TimeoutError():
            why = f"no answer within {health_check.max_wait_time} s"
        case aiohttp.ClientConnectorError():
            why = _why_unreachable(error.os_error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            why = "connection closed without an answer"
        case ValueError():
            why = f"its address cannot be used: {error}"
        case OSError():
            why = _why_unreachable(error)
        case _:
            why = f"no valid HTTP answer ({type(error).__name__})"
    return why


def _cause(error: Exception) -> ProbeCause:
    """Return the cause for a program."""
    if _is_refused_here(error):
        return "not_allowed"
    if _number_of(error) in _OWN_LACKS:
        return "lacking"
    if _number_of(error) == errno.ECONNREFUSED:
        return "refused"
    for kinds, cause in _CAUSES:
        if isinstance(error, kinds):
            return cause
    return "protocol"


_CAUSES: tuple[tuple[tuple[type[Exception], ...], ProbeCause], ...] = (
    ((TimeoutError,), "answer_timeout"),
    ((aiohttp.ClientConnectorError,), "unreachable"),
    ((aiohttp.ServerConnectionError, aiohttp.ClientOSError, ConnectionError), "reset"),
    ((ValueError,), "address"),
    ((OSError,), "unreachable"),
)


def _is_refused_here(error: Exception) -> bool:
    return isinstance(error, OSError) and isinstance(_cause_of(error), AddressRefusedError)


def _number_of(error: Exception) -> int | None:
    """Return the system's number of the error, None where it has none."""
    return _cause_of(error).errno if isinstance(error, OSError) else None


def _why_unreachable(error: OSError) -> str:
    cause = _cause_of(error)
    if isinstance(cause, socket.gaierror):
        return "the name of its host is not known"
    if cause.errno == errno.ECONNREFUSED:
        return "connection refused"
    return f"cannot connect: {cause.strerror or cause}"


def _cause_of(error: OSError) -> OSError:
    """Return the first cause; a host name with several addresses has one for each of them."""
    cause: BaseException = error.os_error if hasattr(error, "os_error") else error
    cause = cause.__cause__ or cause
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause if isinstance(cause, OSError) else error
