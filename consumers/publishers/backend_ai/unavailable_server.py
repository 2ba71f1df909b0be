"""Answers 503 for endpoints without routes, where AppProxy would break the connection instead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from consumers.publishers.serving import SHUTDOWN_S, ListenPlace, serving

_TEXT = "no route is available\n"


@asynccontextmanager
async def unavailable_server(port: int) -> AsyncIterator[None]:
    """Answer 503 to every request at *port*, on all addresses, during the block.

    Raises:
        ListenError: The port cannot be opened.
    """
    server = web.Server(_unavailable)
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_S)
    async with serving(runner, ListenPlace("publish.backend_ai.placeholder_port", port)):
        yield


async def _unavailable(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=503, text=_TEXT)
