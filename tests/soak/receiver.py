"""Where the webhook posts to: it fails for chosen endpoints, and notes what it took."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import anyio
import msgspec
from aiohttp import web

_LOOK_EVERY_S = 0.02


class _Posted(msgspec.Struct):
    """What is needed of a posted event."""

    partition: int
    entryid: str
    subject: UUID


class Receiver:
    """Takes every event, except those of endpoints that fail: these it answers with 500.

    Attributes:
        url: Where it listens.
        failing: The endpoints that fail at the moment.
        taken: Partition and entry id of all that it took.
        refused: How many requests it answered with 500.
    """

    def __init__(self) -> None:
        self.url = ""
        self.failing: set[UUID] = set()
        self.taken: set[tuple[int, str]] = set()
        self.refused = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        posted = msgspec.json.decode(await request.read(), type=_Posted)
        if posted.subject in self.failing:
            self.refused += 1
            return web.Response(status=500)
        self.taken.add((posted.partition, posted.entryid))
        return web.Response(status=204)

    async def until_taken(self, partition: int, entry_id: str) -> None:
        """Return when the entry was taken."""
        while (partition, entry_id) not in self.taken:  # noqa: ASYNC110 - asked for by the deadline
            await anyio.sleep(_LOOK_EVERY_S)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listen on a free port of the loopback for as long as the block runs."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{port}/hook"
        yield receiver
    finally:
        await runner.cleanup()
