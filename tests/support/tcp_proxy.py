"""A TCP proxy in front of a server: it loses, holds back, delays and swallows what passes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio
from anyio.abc import SocketAttribute, SocketStream

_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


class Held:
    """A request that the proxy has, and the server has not."""

    def __init__(self, needle: bytes) -> None:
        self.needle = needle
        self.arrived = anyio.Event()
        self.released = anyio.Event()
        self.answered = anyio.Event()

    async def release(self) -> None:
        """Let it go on to the server; return when the server has answered it."""
        self.released.set()
        await self.answered.wait()


class TcpProxy:
    """What lies between the clients at *port* and the server.

    Attributes:
        lost: Replies that the server gave and no client got.
        requests: Requests that came by, by chunks.
        silent: Nothing passes any more, in either direction; connections stay open.
        delay_s: How long each request is on its way.
        remembers: Whether `requests` are kept; one that runs for hours must not.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.lost = 0
        self.requests: list[bytes] = []
        self.silent = False
        self.delay_s = 0.0
        self.remembers = True
        self._target_port = target_port
        self._to_lose: list[bytes] = []
        self._to_hold: list[Held] = []
        self._connections: set[anyio.CancelScope] = set()

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"redis://127.0.0.1:{self.port}"

    def retarget(self, port: int) -> None:
        """Lead to the server at *port* from now on, and cut every connection there is."""
        self._target_port = port
        self.cut()

    def cut(self) -> int:
        """Cut every connection there is; say how many."""
        for scope in self._connections:
            scope.cancel()
        return len(self._connections)

    def lose_next_reply_to(self, needle: bytes) -> None:
        """Let the next request with *needle* be carried out; cut its connection, not the reply."""
        self._to_lose.append(needle)

    def hold_next(self, needle: bytes) -> Held:
        """Keep the next request with *needle* from the server, also when its client is gone."""
        held = Held(needle)
        self._to_hold.append(held)
        return held

    async def serve(self, client: SocketStream) -> None:
        """Carry one connection until either side is gone."""
        async with AsyncExitStack() as open_ones:
            scope = open_ones.enter_context(anyio.CancelScope())
            self._connections.add(scope)
            open_ones.callback(self._connections.discard, scope)
            await open_ones.enter_async_context(client)
            try:
                server = await anyio.connect_tcp("127.0.0.1", self._target_port)
            except OSError:
                return
            await open_ones.enter_async_context(server)
            link = _Link(self, client, server)
            async with anyio.create_task_group() as ways:
                ways.start_soon(link.forward, ways.cancel_scope)
                ways.start_soon(link.answer, ways.cancel_scope)

    def takes_to_lose(self, request: bytes) -> bool:
        """Whether the reply to *request* gets lost."""
        found = next((needle for needle in self._to_lose if needle in request), None)
        if found is not None:
            self._to_lose.remove(found)
        return found is not None

    def takes_to_hold(self, request: bytes) -> Held | None:
        """Return what *request* is held by, if it is."""
        found = next((held for held in self._to_hold if held.needle in request), None)
        if found is not None:
            self._to_hold.remove(found)
        return found


class _Link:
    def __init__(self, proxy: TcpProxy, client: SocketStream, server: SocketStream) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._deaf = False
        self._held: Held | None = None

    async def forward(self, both: anyio.CancelScope) -> None:
        with suppress(*_GONE):
            async for request in self._client:
                await self._pass(request)
        if self._held is not None:
            await self._held.answered.wait()
        both.cancel()

    async def _pass(self, request: bytes) -> None:
        if self._proxy.remembers:
            self._proxy.requests.append(request)
        if self._proxy.silent:
            return
        await anyio.sleep(self._proxy.delay_s)
        self._deaf = self._deaf or self._proxy.takes_to_lose(request)
        held = self._proxy.takes_to_hold(request)
        if held is not None:
            held.arrived.set()
            await held.released.wait()
            self._held = held
        await self._server.send(request)

    async def answer(self, both: anyio.CancelScope) -> None:
        with suppress(*_GONE):
            async for reply in self._server:
                if self._held is not None:
                    self._held.answered.set()
                if self._deaf:
                    self._proxy.lost += 1
                    break
                if not self._proxy.silent:
                    await self._client.send(reply)
        both.cancel()


@asynccontextmanager
async def tcp_proxy(target_port: int) -> AsyncIterator[TcpProxy]:
    """Run a proxy in front of the server at *target_port*."""
    proxy = TcpProxy(target_port)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        proxy.port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's
        async with anyio.create_task_group() as connections:
            connections.start_soon(listener.serve, proxy.serve)
            yield proxy
            connections.cancel_scope.cancel()
