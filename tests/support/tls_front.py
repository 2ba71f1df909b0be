"""TLS before a server that has none."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener


@asynccontextmanager
async def tls_front(port: int, context: ssl.SSLContext) -> AsyncIterator[tuple[int, TLSListener]]:
    """Hand what comes by TLS to loopback's *port*; yield the port, and what a test may change."""

    async def serve(client: ByteStream) -> None:
        async def pass_on(source: ByteStream, to: ByteStream) -> None:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError):
                async for chunk in source:
                    await to.send(chunk)
            ways.cancel_scope.cancel()

        async with (
            client,
            await anyio.connect_tcp("127.0.0.1", port) as server,
            anyio.create_task_group() as ways,
        ):
            ways.start_soon(pass_on, client, server)
            ways.start_soon(pass_on, server, client)

    [plain] = (await anyio.create_tcp_listener(local_host="127.0.0.1")).listeners
    listener = TLSListener(plain, context, standard_compatible=False)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield plain.extra(SocketAttribute.local_port), listener  # noqa: S610 - no SQL
        tasks.cancel_scope.cancel()
