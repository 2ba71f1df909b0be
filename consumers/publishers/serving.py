"""Serves HTTP at the port that a setting names, for publishers that are asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
from aiohttp import web

from consumers.errors import ListenError

SHUTDOWN_S = 0.2
"""Seconds for answers that are under way when the server ends."""

_CLEANUP_S = 5.0


class ListenPlace(msgspec.Struct, frozen=True):
    """Where to listen, on all addresses without a host, and which setting says the port."""

    setting: str
    port: int
    host: str | None = None


@asynccontextmanager
async def serving(runner: web.BaseRunner, place: ListenPlace) -> AsyncIterator[str]:
    """Serve during the block; yield the URL.

    Raises:
        ListenError: The port cannot be opened.
    """
    await runner.setup()
    try:
        await _listen(runner, place)
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        # Cut off by a cancellation, it would leave its connections open.
        with anyio.move_on_after(_CLEANUP_S, shield=True):
            await runner.cleanup()


async def _listen(runner: web.BaseRunner, place: ListenPlace) -> None:
    try:
        await web.TCPSite(runner, place.host, place.port).start()
    except OSError as error:
        where = "" if place.host is None else f" of {place.host}"
        why = (error.strerror or str(error)).lower()
        raise ListenError(
            f"{place.setting} {place.port}{where} cannot be opened: {why}; give another"
        ) from None
