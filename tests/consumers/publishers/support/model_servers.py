"""Little model servers, which answer with their names, and a client that counts the answers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import anyio
from aiohttp import web

from tests.support.waiting import wait_until

FAILED = "failed"
_REQUEST_S = 20.0


class NamedServer:
    """A model server.

    Attributes:
        name: What it answers.
        port: Where it listens.
        paths: What it was asked for.
        hangs: While it is set, requests are not answered, those for its health neither.
    """

    def __init__(self, name: str) -> None:
        self.name, self.port = name, 0
        self.paths: list[str] = []
        self.hangs: anyio.Event | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen: again on the same port, if it did before."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End all connections, and refuse new ones."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        if self.hangs is not None:
            await self.hangs.wait()
        if request.path == "/stream":
            return await self._stream(request)
        return web.Response(text=self.name)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Answer the name once each time the request says `go on`; its end is the answer's."""
        response = web.StreamResponse()
        await response.prepare(request)
        async for _ in request.content.iter_any():
            await response.write(self.name.encode())
        return response


@asynccontextmanager
async def model_servers(*names: str) -> AsyncIterator[list[NamedServer]]:
    """Run model servers during the block."""
    async with AsyncExitStack() as stack:
        servers = [NamedServer(name) for name in names]
        for server in servers:
            await server.start()
            stack.push_async_callback(server.stop)
        yield servers


class CountingClient:
    """Asks a proxy, and counts who answers.

    Attributes:
        answers: How often each has answered: a server's name, a status, or `FAILED`.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.answers: Counter[str] = Counter()
        self.session = session
        self.url = url

    async def ask(self, host: str, path: str = "/v1/completions") -> str:
        """Return who answered."""
        try:
            headers = {"Host": host}
            asked = {"model": "m", "prompt": "a question"}
            async with self.session.post(self.url + path, headers=headers, json=asked) as answer:
                text = await answer.text()
                return text if answer.status == 200 else str(answer.status)
        except (aiohttp.ClientError, TimeoutError):
            return FAILED

    async def count(self, host: str, requests: int, path: str = "/v1/completions") -> Counter[str]:
        """Return who answered so many requests, one after the other."""
        return Counter([await self.ask(host, path) for _ in range(requests)])

    async def until(self, host: str, *answers: str, path: str = "/v1/completions") -> None:
        """Return when *answers*, and no others, come for some requests in a row."""
        last: Counter[str] = Counter()

        async def all_of_them() -> bool:
            nonlocal last
            last = await self.count(host, 2 * len(answers) + 2, path)
            return set(last) == set(answers)

        try:
            await wait_until(all_of_them, f"{host} is answered by {answers}", 30.0)
        except AssertionError as error:
            raise AssertionError(f"{error}; the last answers were {dict(last)}") from None

    async def keep_asking(self, host: str) -> None:
        """Ask without a pause, and count all answers, until cancelled."""
        while True:
            self.answers[await self.ask(host)] += 1


@asynccontextmanager
async def counting_client(url: str) -> AsyncIterator[CountingClient]:
    timeout = aiohttp.ClientTimeout(total=_REQUEST_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield CountingClient(session, url)


class Stream:
    """An answer that comes piece by piece, each when the client has sent one."""

    def __init__(self) -> None:
        self.received = ""
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def send(self) -> None:
        """Send a piece, and wait for the answer's next one."""
        seen = self.received
        await self._pieces.put(b"go on")
        await wait_until(lambda: self.received != seen, "the next piece of the stream")

    def end(self) -> None:
        self._pieces.put_nowait(None)

    async def pieces(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def receive(self, client: CountingClient, host: str) -> None:
        url, headers = f"{client.url}/stream", {"Host": host}
        async with client.session.post(url, headers=headers, data=self.pieces()) as answer:
            async for piece in answer.content.iter_any():
                self.received += piece.decode()


@asynccontextmanager
async def streaming(client: CountingClient, host: str) -> AsyncIterator[Stream]:
    """Keep a stream open during the block; it has ended well at its end."""
    stream = Stream()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.receive, client, host)
        yield stream
        stream.end()
