"""Why a probe failed: in a few words for an operator, and as a cause for a program."""

import errno
import socket
import ssl

import aiohttp
import anyio

from events.catalogue.health_check import HealthCheck
from producers.checker.address_policy import AddressRefusedError
from producers.checker.probe_result import ProbeCause, ProbeResult

REASON_CHARACTERS_MAX = 256
"""Maximum characters of the reason why a probe failed."""

EXPECTED_ERRORS = (
    aiohttp.ClientError,
    OSError,
    ValueError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
)
"""What a probe of any kind may raise because of its route."""

_OWN_LACKS = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM),
        *(errno.EADDRNOTAVAIL, errno.ENETDOWN),
    }
)
"""What this machine lacks where it cannot connect to any route: files, memory, ports, a network."""

_BY_NUMBER: dict[int, tuple[ProbeCause, str]] = {
    **dict.fromkeys(_OWN_LACKS, ("lacking", "")),
    errno.ECONNREFUSED: ("refused", "connection refused"),
}
"""Cause and words of an error by its number."""

_RESETS = (
    aiohttp.ServerDisconnectedError,
    ConnectionError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
)


class NoAnswerError(ValueError):
    """What a route sent is no answer of the protocol; the message says what it is."""


def failure(cause: ProbeCause, reason: str) -> ProbeResult:
    """Return the result of a probe that failed."""
    return ProbeResult(success=False, reason=reason[:REASON_CHARACTERS_MAX], cause=cause)


def failure_of(error: Exception, check: HealthCheck, *, connected: bool) -> ProbeResult:
    """Return the result of a probe that *error* ended, before or after it was *connected*."""
    if isinstance(error, TimeoutError):
        return _late(check, connected=connected)
    if isinstance(error, NoAnswerError):
        return failure("protocol", str(error))
    if isinstance(error, OSError) and not isinstance(error, aiohttp.ServerDisconnectedError):
        return _of_system(error, connected=connected)
    if isinstance(error, _RESETS):
        return failure("reset", "connection closed without an answer")
    if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientError):
        return failure("address", f"its address cannot be used: {error}")
    return failure("protocol", f"no valid answer ({type(error).__name__})")


def _late(check: HealthCheck, *, connected: bool) -> ProbeResult:
    if connected:
        return failure("answer_timeout", f"no answer within {check.max_wait_time} s")
    return failure("connect_timeout", f"no connection within {check.connect_timeout_s} s")


def _of_system(error: OSError, *, connected: bool) -> ProbeResult:
    """Return the result where the system, or TLS, told of an error."""
    cause = _first_cause(error)
    if isinstance(cause, AddressRefusedError):
        return failure("not_allowed", f"cannot connect: {cause.strerror}")
    if isinstance(cause, ssl.SSLError):
        return failure("tls", f"TLS: {_of_tls(cause)}")
    if isinstance(cause, socket.gaierror):
        return failure("name", "the name of its host is not known")
    told, why = _BY_NUMBER.get(cause.errno or 0, (None, ""))
    if told is None and (connected or isinstance(cause, ConnectionError)):
        return failure("reset", "connection closed without an answer")
    return failure(told or "unreachable", why or f"cannot connect: {cause.strerror or cause}")


def _of_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return (error.reason or "no TLS").lower().replace("_", " ")


def _first_cause(error: OSError) -> OSError:
    """Return the first cause; a host name with several addresses has one for each of them."""
    cause: BaseException = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    cause = cause.__cause__ or cause
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause if isinstance(cause, OSError) else error
