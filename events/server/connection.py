"""A connection that sends within its timeout, and reports when nothing was sent."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import anyio
import redis.exceptions as redis_errors
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection


class Dialled(AbstractConnection):
    """A connection that distinguishes a failure to connect from a reply that never came."""

    async def connect(self) -> None:
        """Connect, and log in.

        Raises:
            NeverSentError: There is no connection to send on.
            NoEntryError: The server refuses what the URL asks for, such as its database.
        """
        try:
            await super().connect()  # type: ignore[no-untyped-call]
        except redis_errors.AuthenticationError:
            raise
        except (redis_errors.ResponseError, redis_errors.InvalidResponse) as error:
            raise NoEntryError(str(error)) from error
        except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as error:
            raise NeverSentError(str(error)) from error

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Log in, also where the connection cannot be named: no right to it, or no such command."""
        name, self.client_name = self.client_name, None
        try:
            await super().on_connect_check_health(check_health)
        finally:
            self.client_name = name
        with suppress(redis_errors.ResponseError):
            await self.send_command("CLIENT", "SETNAME", name, check_health=False)
            await self.read_response()

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: ANN401, FBT001, FBT002 - redis-py's
        """Write the command within the timeout of the socket, in the calling task.

        redis-py writes in a task of its own, under `asyncio.wait_for`: before Python 3.12 that
        swallows a cancellation which comes while the command is written.
        """
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        limit_s, self.socket_timeout = self.socket_timeout, None
        try:
            with anyio.fail_after(limit_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            raise redis_errors.TimeoutError("the command could not be sent in time") from None
        finally:
            self.socket_timeout = limit_s

    def pack_command(self, *args: Any) -> list[bytes]:  # noqa: ANN401 - what Redis takes
        """Let hiredis write the command too: an apply has thousands of arguments."""
        first, *others = args
        words = first.split() if isinstance(first, str | bytes) else [first]
        try:
            return [pack_command((*words, *others))]
        except UnicodeEncodeError:  # a key may have bytes that are no text
            return [pack_command(tuple(map(_bytes_of, (*words, *others))))]


def _bytes_of(word: Any) -> Any:  # noqa: ANN401 - what Redis takes
    return word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word


class NeverSentError(redis_errors.ConnectionError):
    """There was no connection to send on: the command has certainly not been carried out."""


class NoEntryError(redis_errors.ResponseError):
    """The server refused the connection while it was set up: nothing can be sent on it."""


_SCRIPTS = ("EVAL", "EVALSHA")


_READS = ("XREAD", "XREADGROUP")


_WITH_SUBCOMMAND = ("XINFO", "XGROUP", "MEMORY", "OBJECT")


def keys_of(command: Sequence[Any]) -> list[str]:
    """Return the keys that *command* names; if it has none, its first argument."""
    words = [*_text(command[0]).split(), *command[1:]]
    name = words[0].upper()
    if name in _SCRIPTS:
        keys = words[3 : 3 + int(words[2])]
    elif name in _READS:
        streams = words[words.index("STREAMS") + 1 :]
        keys = streams[: len(streams) // 2]
    else:
        at = 2 if name in _WITH_SUBCOMMAND else 1
        keys = words[at : at + 1]
    return [_text(key) for key in keys]


def _text(word: object) -> str:
    return word.decode("utf-8", "backslashreplace") if isinstance(word, bytes) else str(word)
