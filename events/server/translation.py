"""Translate errors of redis-py and of the network into what they mean to the caller."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis.exceptions as redis_errors

from events.errors import (
    NoGroupError,
    ServerRefusedError,
    ServerUnavailableError,
    WrongTypeError,
)
from events.server.connection import NeverSentError, keys_of

_TRANSIENT = (
    redis_errors.ConnectionError,  # includes LOADING and refused logins
    redis_errors.TimeoutError,
    redis_errors.ReadOnlyError,
    redis_errors.ClusterDownError,
    redis_errors.MasterDownError,
    redis_errors.TryAgainError,
    redis_errors.OutOfMemoryError,
    OSError,
)


_NOT_NOW = re.compile(r"^(UNBLOCKED|BUSY|MISCONF|NOREPLICAS)\b")


_MISSING = re.compile(
    r"^(NOGROUP|UNBLOCKED the stream key|(ERR )?no such key"
    r"|(ERR )?The XGROUP subcommand requires the key to exist)"
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
    return WrongTypeError(f"{named} is not of the type that {name} is for: {error}", keys)


def translated(error: redis_errors.RedisError | OSError) -> Exception:
    """Return what a failure means to the caller: wait, look for the group again, or give up."""
    if isinstance(error, _TRANSIENT) and not isinstance(error, redis_errors.AuthenticationError):
        return ServerUnavailableError(str(error) or type(error).__name__)
    if _MISSING.match(str(error)):
        return NoGroupError(str(error))
    if isinstance(error, redis_errors.NoPermissionError):
        problem = str(error).removeprefix("NOPERM ")
        return ServerRefusedError(f"the server's ACL gives this account no permission: {problem}")
    if _NOT_NOW.match(str(error)):
        return ServerUnavailableError(str(error))
    return ServerRefusedError(str(error))


def was_not_carried_out(error: ServerUnavailableError) -> bool:
    """Whether the command certainly had no effect: it was never sent, or was refused."""
    refusals = (NeverSentError, redis_errors.ResponseError, redis_errors.BusyLoadingError)
    return isinstance(error.__cause__, refusals)
