"""Asks Redis Sentinels which server is the master now."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from events.errors import ServerRefusedError, ServerUnavailableError
from events.server.reply import reply
from events.server.server import Server
from events.server.settings import ServerSettings

ASK_S = 1.0
"""Seconds for the answer of one sentinel, and between two times at which all are asked."""

_CLOSE_TIMEOUT_S = 1.0

Address = tuple[str, int]
"""Host and port."""


class Sentinels:
    """The sentinels that watch one master."""

    def __init__(self, servers: Sequence[Server], master: str) -> None:
        self._servers, self._master = servers, master

    async def master(self) -> Address | None:
        """Return the address that more than half of all sentinels give; None for none."""
        answers: Counter[Address] = Counter()

        async def ask(server: Server) -> None:
            if (address := await self._ask(server)) is not None:
                answers[address] += 1

        async with anyio.create_task_group() as tasks:
            for server in self._servers:
                tasks.start_soon(ask, server)
        for address, voices in answers.most_common(1):
            if voices > len(self._servers) / 2:
                return address
        return None

    async def master_other_than(self, address: Address | None) -> Address:
        """Wait until another server than *address* is the master, and return it."""
        while True:
            found = await self.master()
            if found is not None and found != address:
                return found
            await anyio.sleep(ASK_S)

    async def _ask(self, server: Server) -> Address | None:
        try:
            raw = await server.client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
        except (ServerUnavailableError, ServerRefusedError):
            return None
        if raw is None:  # it watches no such master
            return None
        host, port = reply(raw, list[bytes])
        return host.decode(), int(port)


@asynccontextmanager
async def open_sentinels(urls: Sequence[str], master: str) -> AsyncIterator[Sentinels]:
    """Ask the sentinels at *urls* during the block."""
    async with AsyncExitStack() as stack:
        servers = [Server(ServerSettings(url=url, timeout_s=ASK_S)) for url in urls]
        for server in servers:
            stack.push_async_callback(_close, server)
        yield Sentinels(servers, master)


async def _close(server: Server) -> None:
    with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
        await server.aclose()
