"""Connect to one Redis or Valkey server, and ask it about itself."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from events.entry.entry_id import AFTER_END
from events.errors import (
    ServerRefusedError,
    ServerUnavailableError,
    UnknownCommandError,
)
from events.server.connection import Dialled
from events.server.credentials import PasswordFile
from events.server.reply import reply
from events.server.script import Script, script_text
from events.server.settings import ServerSettings
from events.server.translation import translation

VERSION_MIN = (7, 0)

_CLOSE_TIMEOUT_S = 1.0
_READ_BYTES = 262_144


class RenewedTls(SSLConnection):
    """Reads the files for TLS at each connect, so that renewed ones are taken without a restart."""

    def _connection_arguments(self) -> Mapping[str, Any]:
        self.ssl_context.context = None
        return super()._connection_arguments()


_CONNECTIONS = {
    "redis": Connection,
    "rediss": RenewedTls,
    "unix": UnixDomainSocketConnection,
}
_ASCENDING = ("XRANGE", "XPENDING")
_RAW_REPLIES = ("XREAD", "XREADGROUP", "XRANGE", "XREVRANGE", "XCLAIM", "XPENDING")


class Client(Redis):
    """A redis-py client that never repeats a command by itself and raises our errors."""

    async def call(self, *command: object) -> object:
        """Send one command; see `translated` for what it raises, `reply` for what it returns."""
        if AFTER_END in command and command[0] in _ASCENDING:
            return []
        answer: object = await self.execute_command(*command)
        return answer

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        """Send one command for redis-py, which calls this itself; see `call`."""
        with translation(args):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def script(self, package: str, name: str) -> Script:
        """Return the script *name* of *package*, ready to be called."""
        return Script(self, script_text(package, name))


class Server:
    """An open server: `client` for commands that answer at once, `blocking` for reads that wait."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._url = settings.server_url
        self._timeout_s = self._url.options.socket_timeout or settings.timeout_s
        self.client = self._connect(settings.connections_max, self._timeout_s)

    @property
    def address(self) -> str:
        """Its host, port and database, or its socket's path; never the password."""
        return self._url.address

    @asynccontextmanager
    async def blocking(self, block_ms: int) -> AsyncIterator[Client]:
        """Open a separate connection for reads that wait up to *block_ms*.

        The server's timer may start again while it serves others, so the reply may take longer.
        """
        client = self._connect(1, block_ms / 1_000 + self._timeout_s)
        try:
            yield client
        finally:
            with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
                await client.aclose()

    def _connect(self, connections_max: int, timeout_s: float) -> Client:
        options = self._url.options
        connection: Any = type("Dialled", (Dialled, _CONNECTIONS[self._url.scheme]), {})
        pool = BlockingConnectionPool(
            connection_class=connection,
            max_connections=connections_max,
            timeout=options.timeout or timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=options.socket_connect_timeout or self._timeout_s,
            socket_read_size=_READ_BYTES,
            retry=Retry(NoBackoff(), 0),
            **{"protocol": 2, "client_name": "routestream", **self._place_and_login()},
        )
        client = Client(connection_pool=pool)
        client.auto_close_connection_pool = True
        for command in _RAW_REPLIES:
            client.response_callbacks[command] = _raw  # type: ignore[assignment]
        return client

    def _place_and_login(self) -> dict[str, Any]:
        options, file = self._url.connection_options, self.settings.password_file
        if file is None:
            return options
        login = {"password": None, "credential_provider": PasswordFile(options["username"], file)}
        return {**options, **login, "username": None}

    async def check(self) -> None:
        """Check that the server answers and is new enough.

        Raises:
            ServerUnavailableError: It cannot be reached, or is still loading.
            ServerRefusedError: It is too old, or refuses access.
        """
        try:
            about = await self._info("server")
        except UnknownCommandError:
            return  # INFO is switched off: what else is missing, a command will tell
        except ServerUnavailableError as error:
            raise ServerUnavailableError(f"no Redis at {self.address}: {error}") from None
        except ServerRefusedError as error:
            raise ServerRefusedError(f"Redis at {self.address} refuses: {error}") from None
        version = str(about.get("valkey_version") or about["redis_version"])
        if tuple(int(part) for part in version.split(".")[:2]) < VERSION_MIN:
            raise ServerRefusedError(f"Redis at {self.address} is {version}, 7.0 is the least")

    async def weaknesses(self) -> list[str]:
        """Return which settings of the server put appended events at risk; empty if none does.

        Nothing is reported about a server that refuses to tell its settings.
        """
        found = []
        try:
            persistence, memory = await self._info("persistence"), await self._info("memory")
        except ServerRefusedError:
            return []
        if not persistence.get("aof_enabled"):
            found.append("appendonly is off: a crash of the server loses events; turn AOF on")
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        if policy != "noeviction":
            found.append(f"maxmemory-policy is {policy}: the log can be evicted; set noeviction")
        return found

    async def can_wait_for_fsync(self) -> bool:
        """Whether the server says that it has WAITAOF, and an append-only file to sync."""
        try:
            known = await self.client.call("COMMAND LIST", "FILTERBY", "PATTERN", "waitaof")
            persistence = await self._info("persistence")
        except ServerRefusedError:
            return False
        return bool(known) and bool(persistence.get("aof_enabled"))

    async def _info(self, section: str) -> dict[str, object]:
        return reply(await self.client.call("INFO", section), dict[str, object])

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.aclose()


def _raw(answer: object, **_options: object) -> object:
    """Return the reply unchanged: such replies are large, and callers parse them."""
    return answer


@asynccontextmanager
async def open_server(settings: ServerSettings) -> AsyncIterator[Server]:
    """Open the server, check it, and close it at the end.

    Raises:
        ServerUnavailableError: It cannot be reached.
        ServerRefusedError: It is too old, or refuses access.
    """
    server = Server(settings)
    try:
        await server.check()
        yield server
    finally:
        await server.aclose()


async def now_of(server: Server) -> datetime:
    """Return the server's time, from which it makes ids; the local clock may differ.

    If the account may not ask for it, the local clock is used.
    """
    try:
        raw = await server.client.call("TIME")
    except ServerRefusedError:
        return datetime.now(UTC)
    seconds, microseconds = reply(raw, tuple[int, int])
    return datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)
