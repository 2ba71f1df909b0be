"""Several servers that belong together, on loopback, and what is asked of each."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.processes.embedded import EmbeddedServer, free_port

_ASK_TIMEOUT_S = 20.0
UNANSWERED = (RedisError, OSError)
"""What asking raises when a server does not answer, or refuses."""


def host_of(server: EmbeddedServer) -> str:
    """Return the address at which *server* listens."""
    return str(urlsplit(server.url).hostname)


async def ask(server: EmbeddedServer, *command: object) -> object:
    """Send one command on a connection of its own; return the reply as it came, but decoded.

    Our own client takes no part: how it finds its way is what such tests are about.
    """
    client = Redis(
        host=host_of(server),
        port=server.port,
        protocol=2,
        decode_responses=True,
        socket_timeout=_ASK_TIMEOUT_S,
        socket_connect_timeout=_ASK_TIMEOUT_S,
    )
    client.response_callbacks.clear()
    try:
        answer: object = await client.execute_command(*command)  # type: ignore[no-untyped-call]
        return answer
    finally:
        with anyio.CancelScope(shield=True):  # whoever asks may have waited long enough
            await client.aclose()


async def told(server: EmbeddedServer, *command: object) -> dict[str, str]:
    """Return the lines `name:value` of a reply like that of INFO."""
    lines = str(await ask(server, *command)).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


class NewServer(Protocol):
    """Makes a server that is not yet started: a process, a container, one on another network."""

    def __call__(self, folder: Path, *options: str, port: int) -> EmbeddedServer:
        """Return a server with its files in *folder* that will listen on *port*."""


class ServerSet:
    """Servers of one deployment, each with a folder of its own.

    Attributes:
        servers: All of them, also those that are away.
    """

    servers: tuple[EmbeddedServer, ...]

    def __init__(self, servers: Iterable[EmbeddedServer]) -> None:
        self.servers = tuple(servers)
        self._paused: set[EmbeddedServer] = set()

    @property
    def answering(self) -> list[EmbeddedServer]:
        """Those that are neither killed nor paused."""
        return [one for one in self.servers if one.is_running and one not in self._paused]

    def on_port(self, port: int) -> EmbeddedServer:
        """Return the server at loopback's *port*."""
        return next(one for one in self.servers if one.port == port)

    def kill(self, server: EmbeddedServer) -> None:
        """End it at once, as a crash would."""
        self._paused.discard(server)
        server.kill()

    @contextlib.contextmanager
    def without(self, server: EmbeddedServer) -> Iterator[None]:
        """Count on no answer of *server* during the block, which keeps it from answering."""
        self._paused.add(server)
        try:
            yield
        finally:
            self._paused.discard(server)

    def pause(self, server: EmbeddedServer) -> None:
        """Pause it: its connections stay open, but nothing is answered."""
        server.pause()
        self._paused.add(server)

    def resume(self, server: EmbeddedServer) -> None:
        """Resume it where it was paused."""
        server.resume()
        self._paused.discard(server)

    async def restart(self, server: EmbeddedServer) -> None:
        """Start it again on its files, if need be after killing it."""
        self.kill(server)
        await anyio.to_thread.run_sync(server.start)

    async def start_all(self) -> None:
        """Start all of them side by side; each answers when this returns."""
        async with anyio.create_task_group() as tasks:
            for server in self.servers:
                tasks.start_soon(anyio.to_thread.run_sync, server.start)

    def kill_all(self) -> None:
        """End all of them; what is paused, too."""
        for server in self.servers:
            self.kill(server)


def new_folder(stack: contextlib.ExitStack) -> Path:
    """Make a folder for a server that lasts as long as the *stack*."""
    return Path(stack.enter_context(TemporaryDirectory(prefix="routestream-")))


def free_ports(count: int) -> list[int]:
    """Return ports of loopback on which nothing listens, no two alike."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)
