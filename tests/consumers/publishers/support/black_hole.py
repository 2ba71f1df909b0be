"""A way to a server on which connections stay open, and nothing comes back any more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import SocketAttribute, SocketStream

_GONE = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)
"""What is raised where one of the two sides has gone."""


class BlackHole:
    """Forwards to one port of loopback.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port, self._target = port, target
        self._swallowed = anyio.Event()

    def swallow(self) -> None:
        """Answer nothing more on the connections that are open; new ones are served."""
        self._swallowed.set()
        self._swallowed = anyio.Event()

    async def serve(self, client: SocketStream) -> None:
        with suppress(*_GONE):
            async with client, await anyio.connect_tcp("127.0.0.1", self._target) as server:
                await self._forward(client, server, self._swallowed)

    async def _forward(
        self, client: SocketStream, server: SocketStream, swallowed: anyio.Event
    ) -> None:
        async with anyio.create_task_group() as both:

            async def answer() -> None:
                with suppress(*_GONE):
                    async for part in server:
                        if not swallowed.is_set():
                            await client.send(part)
                both.cancel_scope.cancel()

            both.start_soon(answer)
            with suppress(*_GONE):
                async for part in client:
                    await server.send(part)
            both.cancel_scope.cancel()


@asynccontextmanager
async def black_hole(target: int) -> AsyncIterator[BlackHole]:
    """Forward to the port *target* during the block."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as serving,
    ):
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - of anyio, not of Django
        made = BlackHole(port, target)
        serving.start_soon(listener.serve, made.serve)
        yield made
        serving.cancel_scope.cancel()
