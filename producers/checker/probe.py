"""Probe a route once, and name the cause of a failure."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio
from msgspec.structs import replace

from events.catalogue.health_check import CheckKind, HealthCheck
from events.catalogue.route import Protocol
from producers.checker.address_policy import AddressPolicy
from producers.checker.probe_result import ProbeResult
from producers.checker.probe_tally import ProbeTally
from producers.checker.probes.address import Address
from producers.checker.probes.http_probe import (
    Attempt,
    HttpSessions,
    http_probe,
    open_http_sessions,
)
from producers.checker.probes.plain_http_probe import is_plain, plain_http_probe
from producers.checker.probes.probe_failure import EXPECTED_ERRORS, failure_of
from producers.checker.probes.tcp_probe import tcp_probe

_HTTP: frozenset[Protocol] = frozenset({"http", "h2"})


class ProbeSession(NamedTuple):
    """What probes are made with; see `open_session`."""

    http: HttpSessions
    policy: AddressPolicy
    tally: ProbeTally


@asynccontextmanager
async def open_session(policy: AddressPolicy) -> AsyncIterator[ProbeSession]:
    """Open a session fit for probes of the addresses that *policy* allows."""
    async with open_http_sessions(policy) as http:
        yield ProbeSession(http, policy, ProbeTally())


async def probe(session: ProbeSession, address: Address, health_check: HealthCheck) -> ProbeResult:
    """Probe the route once, for at most `max_wait_time` seconds, and count the result.

    A failure of the route does not raise. An address that may not be connected to says nothing of
    the route, as what this machine lacks does not.
    """
    began_at = anyio.current_time()
    kind, attempt = kind_of(address, health_check), Attempt()
    try:
        with anyio.fail_after(health_check.max_wait_time):
            result = await _probed(session, address, health_check, kind, attempt)
    except EXPECTED_ERRORS as error:
        result = failure_of(error, health_check, connected=attempt.connected)
    result = replace(result, duration_s=anyio.current_time() - began_at)
    session.tally.count(kind, result)
    return result


def kind_of(address: Address, health_check: HealthCheck) -> CheckKind:
    """Return how the route is probed: one that speaks no HTTP is only connected to."""
    if health_check.kind == "http" and address.protocol not in _HTTP:
        return "tcp"
    return health_check.kind


async def _probed(
    session: ProbeSession,
    address: Address,
    check: HealthCheck,
    kind: CheckKind,
    attempt: Attempt,
) -> ProbeResult:
    match kind:
        case "http" if is_plain(address, check):
            return await plain_http_probe(session.policy, address, check, attempt)
        case "http":
            return await http_probe(session.http, address, check, attempt)
        case "grpc":
            # HTTP/2 is loaded with the first such probe: most checkers make none.
            from producers.checker.probes.grpc_probe import grpc_probe  # noqa: PLC0415

            return await grpc_probe(session.policy, address, check, attempt)
        case "tcp":
            return await tcp_probe(session.policy, address, check)
