"""Answers 503 for endpoints without routes, where AppProxy would break the connection instead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from aiohttp import web

from consumers.errors import ListenError

_CLOSE_TIMEOUT_S = 1.0
_TEXT = "no route is available\n"


@asynccontextmanager
async def unavailable_server(port: int) -> AsyncIterator[None]:
    """Answer 503 to every request at *port*, on all addresses, during the block.

    Raises:
        ListenError: The port cannot be opened.
    """
    server = web.Server(_unavailable)
    runner = web.ServerRunner(server, shutdown_timeout=_CLOSE_TIMEOUT_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, None, port).start()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise ListenError(
                f"publish.backend_ai.placeholder_port {port} cannot be opened: {why}; give another"
            ) from None
        yield
    finally:
        # Cut off by a cancellation, it would leave its connections open.
        with anyio.move_on_after(2 * _CLOSE_TIMEOUT_S, shield=True):
            await runner.cleanup()


async def _unavailable(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=503, text=_TEXT)
