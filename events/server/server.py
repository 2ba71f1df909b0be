"""The server: one Redis or Valkey, its connections, and what its errors mean."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import anyio
import msgspec
import redis.exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from events.errors import (
    NoGroupError,
    ServerRefusedError,
    ServerUnavailableError,
    WrongTypeError,
)
from events.server.command_keys import keys_of
from events.server.connection import Dialled, NeverSentError

VERSION_MIN = (7, 0)
DEFAULT_URL = "redis://127.0.0.1:6379"

_CLOSE_TIMEOUT_S = 1.0
_READ_BYTES = 262_144
_RAW_REPLIES = ("XREAD", "XREADGROUP", "XRANGE", "XREVRANGE", "XCLAIM", "XPENDING")
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
_INCLUDE = re.compile(r"^-- include (\w+)\n", re.MULTILINE)
_NOT_NOW = re.compile(r"^(UNBLOCKED|BUSY|MISCONF|NOREPLICAS)\b")
_MISSING = re.compile(
    r"^(NOGROUP|UNBLOCKED the stream key|(ERR )?no such key"
    r"|(ERR )?The XGROUP subcommand requires the key to exist)"
)


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the server is reached.

    Attributes:
        url: `redis://`, `rediss://` or `unix://`, with the password if there is one.
        connections_max: Connections for commands; blocking reads have their own.
        timeout_s: The longest wait for a reply to a command that does not block.
    """

    url: str = DEFAULT_URL
    connections_max: int = 8
    timeout_s: float = 5.0

    def __post_init__(self) -> None:
        try:
            parse_url(self.url)
        except ValueError as error:
            raise ValueError(_why_unusable(self.url, error)) from None
        if self.connections_max < 1:
            raise ValueError(f"connections_max is {self.connections_max}, the least is 1")
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s is {self.timeout_s}, it must be more than 0")


def _why_unusable(url: str, error: ValueError) -> str:
    scheme = url.partition("://")[0] if "://" in url else "none"
    if str(error).startswith("Port "):
        # What stands there is not shown: without an @ it may be a password.
        return (
            "the port of the Redis URL is not a number from 0 to 65535;"
            f" {scheme}://HOST:PORT/DB and {scheme}://:PASSWORD@HOST:PORT/DB are allowed"
        )
    return (
        f"the Redis URL (scheme {scheme!r}) cannot be used;"
        " redis://HOST:PORT/DB, rediss://HOST:PORT/DB and unix://PATH are allowed"
    )


class Script:
    """A Lua script, loaded where it is missing."""

    def __init__(self, client: "Client", text: str) -> None:
        self._client = client
        self._text = text
        self._loaded = client.register_script(text)

    async def __call__(self, keys: list[str], args: list[Any]) -> Any:  # noqa: ANN401 - Lua's reply
        """Run it."""
        try:
            return await self._loaded(keys, args)
        except redis_errors.NoScriptError:
            # The server forgot it between its loading and its call: sent whole it needs neither.
            return await self._client.call(*self._whole(keys, args))

    def queue(self, pipeline: Pipeline, keys: list[str], args: list[Any]) -> None:
        """Let *pipeline* run it."""
        pipeline.execute_command(*self._whole(keys, args))

    def _whole(self, keys: list[str], args: list[Any]) -> tuple[Any, ...]:
        return ("EVAL", self._text, len(keys), *keys, *args)


class Client(Redis):
    """A redis-py client that never repeats a command by itself and raises our errors."""

    async def call(self, *args: Any) -> Any:  # noqa: ANN401 - Redis's reply
        """Send one command; see `translated` for what it raises."""
        return await self.execute_command(*args)

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        """What redis-py itself calls; see `call`."""
        with translation(args):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def script(self, package: str, name: str) -> Script:
        """Return the script *name* of *package*, ready to be called."""
        return Script(self, script_text(package, name))


def script_text(package: str, name: str) -> str:
    """Return the script `lua/NAME.lua` of *package*, with the parts that it includes."""
    return _INCLUDE.sub(_part, files(package).joinpath("lua", f"{name}.lua").read_text())


def _part(included: re.Match[str]) -> str:
    return files("events.server").joinpath("lua", "parts", f"{included[1]}.lua").read_text()


@contextmanager
def translation(command: Sequence[Any] = ()) -> Iterator[None]:
    """Raise our errors in place of redis-py's; a missing script is left to who loads it.

    With *command*, the key that holds something else is named: Redis itself does not.
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
    """Say what a failure means to its caller: wait, look for the group anew, or give up."""
    if isinstance(error, _TRANSIENT) and not isinstance(error, redis_errors.AuthenticationError):
        return ServerUnavailableError(str(error) or type(error).__name__)
    if _MISSING.match(str(error)):
        return NoGroupError(str(error))
    if isinstance(error, redis_errors.NoPermissionError):
        said = str(error).removeprefix("NOPERM ")
        return ServerRefusedError(f"the server's ACL gives this account no permission: {said}")
    if _NOT_NOW.match(str(error)):
        return ServerUnavailableError(str(error))
    return ServerRefusedError(str(error))


def was_not_carried_out(error: ServerUnavailableError) -> bool:
    """Whether the command certainly had no effect: it was never sent, or the answer was a no."""
    no = (NeverSentError, redis_errors.ResponseError, redis_errors.BusyLoadingError)
    return isinstance(error.__cause__, no)


class Server:
    """An open server: `client` for commands that answer at once, `blocking` for reads that wait."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.client = self._connect(settings.connections_max, settings.timeout_s)

    @property
    def address(self) -> str:
        """Where it is, without the password."""
        parts = urlsplit(self.settings.url)
        if parts.scheme == "unix":
            return parts.path
        return f"{parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path}"

    @asynccontextmanager
    async def blocking(self, block_ms: int) -> AsyncIterator[Client]:
        """Open a connection of its own for reads that wait up to *block_ms*.

        The server's timer may begin anew while it serves others, so the reply may take longer.
        """
        client = self._connect(1, block_ms / 1_000 + self.settings.timeout_s)
        try:
            yield client
        finally:
            with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
                await client.aclose()

    def _connect(self, connections_max: int, timeout_s: float) -> Client:
        options: dict[str, Any] = {**parse_url(self.settings.url)}
        kind = options.pop("connection_class", Connection)
        pool = BlockingConnectionPool(
            connection_class=type("Dialled", (Dialled, kind), {}),
            max_connections=connections_max,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=self.settings.timeout_s,
            socket_read_size=_READ_BYTES,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            client_name="routestream",
            **options,
        )
        client = Client(connection_pool=pool)
        client.auto_close_connection_pool = True
        for command in _RAW_REPLIES:
            client.response_callbacks[command] = _raw  # type: ignore[assignment]
        return client

    async def check(self) -> None:
        """Ask the server who it is.

        Raises:
            ServerUnavailableError: It cannot be reached, or is still loading.
            ServerRefusedError: It is too old, or refuses us.
        """
        try:
            about = await self.client.call("INFO", "server")
        except ServerUnavailableError as error:
            raise ServerUnavailableError(f"no Redis at {self.address}: {error}") from None
        except ServerRefusedError as error:
            raise ServerRefusedError(f"Redis at {self.address} refuses: {error}") from None
        version = str(about.get("valkey_version") or about["redis_version"])
        if tuple(int(part) for part in version.split(".")[:2]) < VERSION_MIN:
            raise ServerRefusedError(f"Redis at {self.address} is {version}, 7.0 is the least")

    async def weaknesses(self) -> list[str]:
        """Say what in the server's settings puts appended events at risk; empty when nothing does.

        A server that refuses to tell its settings has nothing to be reported.
        """
        found = []
        persistence = await self.client.call("INFO", "persistence")
        if not persistence.get("aof_enabled"):
            found.append("appendonly is off: a crash of the server loses events; turn AOF on")
        memory = await self.client.call("INFO", "memory")
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        if policy != "noeviction":
            found.append(f"maxmemory-policy is {policy}: the log can be evicted; set noeviction")
        return found

    async def can_wait_for_fsync(self) -> bool:
        """Whether the server has WAITAOF, and a file to sync."""
        known = await self.client.call("COMMAND LIST", "FILTERBY", "PATTERN", "waitaof")
        persistence = await self.client.call("INFO", "persistence")
        return bool(known) and bool(persistence.get("aof_enabled"))

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.aclose()


def _raw(reply: Any, **_options: Any) -> Any:  # noqa: ANN401 - Redis's reply as it came
    return reply


@asynccontextmanager
async def open_server(settings: ServerSettings) -> AsyncIterator[Server]:
    """Open the server, check it, and close it at the end.

    Raises:
        ServerUnavailableError: It cannot be reached.
        ServerRefusedError: It is too old, or refuses us.
    """
    server = Server(settings)
    try:
        await server.check()
        yield server
    finally:
        await server.aclose()
