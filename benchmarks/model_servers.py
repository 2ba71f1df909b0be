"""Model servers by the thousand: one process that answers at every address of this machine.

The address that a probe came to says which route was meant. What it saw is printed as JSON when
its input ends; until then it reads one command a line: `hang FIRST LAST` and `kill FIRST LAST`.
"""

import asyncio
import sys
import time
from collections import defaultdict

import msgspec

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_BACKLOG = 16_384


class Seen(msgspec.Struct):
    """When each route was asked, by the clock that all processes of the machine share."""

    asked_at: dict[int, list[float]]
    changed_at: dict[str, float] = {}


class ModelServers:
    """The routes that hang, that are dead, and when each was asked."""

    def __init__(self) -> None:
        self.asked_at: defaultdict[int, list[float]] = defaultdict(list)
        self.changed_at: dict[str, float] = {}
        self.hanging = self.dead = range(0)

    def obey(self, command: str) -> None:
        """Do what a line of the input says."""
        verb, *numbers = command.split()
        concerned = range(*map(int, numbers))
        self.changed_at[verb] = time.monotonic()
        if verb == "hang":
            self.hanging = concerned
        else:
            self.dead = concerned


class Connection(asyncio.Protocol):
    """One connection: one question, one answer, and the end."""

    def __init__(self, servers: ModelServers) -> None:
        self._servers = servers
        self._transport: asyncio.WriteTransport | None = None
        self._route = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out which route is meant."""
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport
        self._route = number_of(transport.get_extra_info("sockname")[0])

    def data_received(self, data: bytes) -> None:
        """Answer at once, never, or with the connection's end."""
        del data
        self._servers.asked_at[self._route].append(time.monotonic())
        if self._transport is None or self._route in self._servers.hanging:
            return
        if self._route not in self._servers.dead:
            self._transport.write(_ANSWER)
        self._transport.close()


def address_of(route: int) -> str:
    """Return the address of this machine that stands for a route."""
    return f"127.{1 + (route >> 16)}.{(route >> 8) & 255}.{route & 255}"


def number_of(address: str) -> int:
    """Return the route that *address* stands for."""
    _, high, middle, low = map(int, address.split("."))
    return ((high - 1) << 16) + (middle << 8) + low


async def _serve() -> None:
    servers = ModelServers()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(servers),
        "0.0.0.0",  # noqa: S104 - each address of 127.0.0.0/8 is a route
        0,
        backlog=_BACKLOG,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        servers.obey(line.decode())
    seen = Seen(dict(servers.asked_at), servers.changed_at)
    sys.stdout.buffer.write(msgspec.json.encode(seen))


if __name__ == "__main__":
    asyncio.run(_serve())
