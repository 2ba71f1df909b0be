"""Translate errors of redis-py and of the network into what they mean to the caller.

The sentence for each refusal is chosen here and nowhere else. It ends with the server's own words
in brackets, for whoever searches for them, but never with the arguments of a command: one of them
may be a password.
"""

import os
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis.exceptions as redis_errors

from events.errors import (
    NoGroupError,
    NotAdmittedError,
    ServerRefusedError,
    ServerUnavailableError,
    UnknownCommandError,
    WrongTypeError,
)
from events.server.connection import NoEntryError, SlotMovedError, keys_of
from events.server.pool import NeverSentError

_TRANSIENT = (
    redis_errors.ConnectionError,  # includes LOADING and refused logins
    redis_errors.TimeoutError,
    redis_errors.ReadOnlyError,
    redis_errors.ClusterDownError,
    redis_errors.MasterDownError,
    redis_errors.TryAgainError,
    redis_errors.OutOfMemoryError,
    SlotMovedError,
    OSError,
)


_NOT_NOW = re.compile(r"^(UNBLOCKED|BUSY|MISCONF|NOREPLICAS)\b")


_MISSING = re.compile(
    r"^(NOGROUP|UNBLOCKED the stream key|(ERR )?no such key"
    r"|(ERR )?The XGROUP subcommand requires the key to exist)"
)


_UNKNOWN_COMMAND = re.compile(r"^(?:ERR )?unknown (?:sub)?command '?([^', ]{1,64})")


_KINDS: tuple[tuple[type[Exception], str], ...] = (
    # MovedError is an AskError.
    (redis_errors.MovedError, "MOVED"),
    (redis_errors.AskError, "ASK"),
    (redis_errors.MasterDownError, "MASTERDOWN"),
    (redis_errors.ClusterDownError, "CLUSTERDOWN"),
    (redis_errors.ClusterCrossSlotError, "CROSSSLOT"),
    (redis_errors.TryAgainError, "TRYAGAIN"),
    (redis_errors.BusyLoadingError, "LOADING"),
    (redis_errors.ReadOnlyError, "READONLY"),
    (redis_errors.OutOfMemoryError, "OOM"),
    (redis_errors.NoPermissionError, "NOPERM"),
)
"""The words that redis-py cuts off."""


_NEEDS = "the log needs a server that is no cluster, or for one partition a node with all slots"


_SENTENCES = tuple(
    (re.compile(f"(?i){beginning}"), sentence)
    for beginning, sentence in (
        (
            r"MOVED (?P<slot>\d+) (?P<node>\S+)",
            "slot {slot} of the key lies on another node of this Redis Cluster, {node}; " + _NEEDS,
        ),
        (r"ASK \d+ (?P<node>\S+)", "the Redis Cluster is moving the key's slot to {node}"),
        ("TRYAGAIN", "the Redis Cluster is moving the keys to another node"),
        ("CLUSTERDOWN", "the Redis Cluster does not serve all of its slots"),
        ("CROSSSLOT", "a Redis Cluster takes no command for keys of several slots; " + _NEEDS),
        ("SELECT is not allowed in cluster", "a Redis Cluster has the database 0 only"),
        ("DB index is out of range", "it does not have the database that its URL names"),
        ("LOADING", "the server is loading its data"),
        ("MASTERDOWN", "the server is a replica without its master"),
        ("READONLY", "the server is a replica, and takes no writes"),
        ("OOM", "the server has used all of its memory, and takes no writes"),
        ("MISCONF", "the server cannot save to its disk, and takes no writes"),
        ("NOREPLICAS", "the server has too few replicas, and takes no writes"),
        ("BUSY", "the server is held up by a script"),
        ("UNBLOCKED", "the server ended a wait: its role or the stream has changed"),
        ("NOAUTH|Authentication required", "the server wants a password, its URL has none"),
        (
            "WRONGPASS|invalid username-password|invalid password",
            "the server does not take the user and password of its URL",
        ),
        (
            "AUTH <password> called without|Client sent AUTH, but no password is set",
            "its URL has a password, and the server none",
        ),
        (
            "DENIED",
            "the server is in protected mode, and takes connections from its own machine only",
        ),
        ("max number of clients", "the server has all the connections that it takes"),
        ("Protocol error", "what answers there is no Redis server"),
        (".*closed by server|.*while writing to socket", "the server closed the connection"),
        ("Unknown Redis command called from", "a command that a script of ours needs is renamed"),
        (
            ".*exhausted the last possible ID|.*has an entry of the greatest id",
            "somebody gave an entry the greatest id there is: nothing can be appended any more",
        ),
        ("Timeout", "no answer in time"),
        ("No connection available", "all connections of server.connections_max are in use"),
    )
)


@contextmanager
def translation(command: Sequence[Any] = ()) -> Iterator[None]:
    """Raise our errors in place of redis-py's; NoScriptError is left to `Script`.

    With *command*, an error names the key of the wrong type, which Redis itself does not.
    """
    try:
        yield
    except redis_errors.NoScriptError:
        raise
    except (redis_errors.RedisError, OSError) as error:
        if command and str(error).startswith("WRONGTYPE"):
            raise _wrong_type(command, error) from error
        raise translated(error) from error


def _wrong_type(command: Sequence[Any], error: Exception) -> WrongTypeError:
    keys = keys_of(command)
    named = keys[0] if len(keys) == 1 else f"one of {', '.join(keys)}"
    name = str(command[0]).split()[0]
    name = "the script" if name.startswith("EVAL") else name
    return WrongTypeError(f"{named} is not of the type that {name} is for: {error}", keys)


def translated(error: redis_errors.RedisError | OSError) -> Exception:
    """Return what a failure means to the caller: wait, look for the group again, or give up."""
    sentence = sentence_of(error)
    if isinstance(error, redis_errors.AuthenticationError | NoEntryError):
        return NotAdmittedError(sentence)
    if isinstance(error, _TRANSIENT) or type(error) is redis_errors.AskError:
        return ServerUnavailableError(sentence)
    if _MISSING.match(str(error)):
        return NoGroupError(str(error))
    if _NOT_NOW.match(str(error)):
        return ServerUnavailableError(sentence)
    if _UNKNOWN_COMMAND.match(str(error)):
        return UnknownCommandError(sentence)
    return ServerRefusedError(sentence)


def sentence_of(error: Exception) -> str:
    """Return what happened, in one sentence without a secret."""
    if isinstance(error, NeverSentError | NoEntryError) and error.__cause__ is not None:
        error = error.__cause__  # type: ignore[assignment]
    failure = _network_failure(error)
    if failure is not None:
        return failure
    word = next((word for kind, word in _KINDS if isinstance(error, kind)), "")
    told = f"{word} {error}".strip()
    if word == "NOPERM":
        return f"the server's ACL gives this account no permission: {error}"
    unknown = _UNKNOWN_COMMAND.match(told)
    if unknown is not None:
        return (
            f"the server does not know the command {unknown[1]}: it is renamed or switched off"
            " there, or the server is too old"
        )
    for beginning, sentence in _SENTENCES:
        found = beginning.match(told)
        if found is not None:
            return f"{sentence.format(**found.groupdict())} ({told.rstrip('.')})"
    return told or type(error).__name__


def _network_failure(error: BaseException) -> str | None:
    """Return what the system says, without the text of redis-py and asyncio around it."""
    cause = error.__cause__ or error.__context__ or error
    if not isinstance(cause, OSError):
        return None
    if isinstance(cause, ssl.SSLError):
        return _tls_failure(cause)
    if cause.errno is not None and cause.errno > 0:
        return os.strerror(cause.errno).lower()
    return cause.strerror.lower() if cause.strerror else None


_REMEDIES = {
    9: "see that both clocks are right",  # X509_V_ERR_CERT_NOT_YET_VALID
    10: "renew it at the server",  # X509_V_ERR_CERT_HAS_EXPIRED
    62: "name the server so, or give ssl_check_hostname=false",  # X509_V_ERR_HOSTNAME_MISMATCH
    64: "name the server so, or give ssl_check_hostname=false",  # X509_V_ERR_IP_ADDRESS_MISMATCH
}
"""What helps where another CA does not, by OpenSSL's number of what is wrong."""


_ALERT = re.compile(r"(?:TLSV1|TLSV13|SSLV3)_ALERT_(?P<word>\w+)")
_ABOUT_OUR_CERTIFICATE = re.compile("BAD_CERTIFICATE|CERTIFICATE|UNKNOWN_CA|UNSUPPORTED_CERT")


def _tls_failure(error: ssl.SSLError) -> str:
    """Return why there is no TLS connection, and what helps."""
    if isinstance(error, ssl.SSLCertVerificationError):
        trust = "ssl_ca_certs=FILE in its URL names the certificates to trust"
        return (
            f"the server's certificate cannot be verified: {error.verify_message};"
            f" {_REMEDIES.get(error.verify_code, trust)}"
        )
    why = (error.reason or "no TLS").replace("_", " ").lower()
    alert = _ALERT.match(error.reason or "")
    if alert is not None and alert["word"] == "CERTIFICATE_REQUIRED":
        return "the server wants a certificate of ours; ssl_certfile=FILE in its URL names it"
    if alert is not None and _ABOUT_OUR_CERTIFICATE.match(alert["word"]):
        return f"the server does not take our certificate, that of ssl_certfile: {why}"
    return f"no TLS connection to the server: {why}; does it speak TLS at this port?"


def was_not_carried_out(error: ServerUnavailableError) -> bool:
    """Whether the command certainly had no effect: it was never sent, or was refused."""
    refusals = (NeverSentError, redis_errors.ResponseError, redis_errors.BusyLoadingError)
    return isinstance(error.__cause__, refusals)
