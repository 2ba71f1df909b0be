"""A receiver of webhooks on the loopback: notes what it is sent, and answers as it is told."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from consumers.runtime.outcome import RetryPolicy
from consumers.webhook.webhook_settings import WebhookSettings
from events.entry.entry_id import EntryId
from tests.support.waiting import wait_until


class Call(msgspec.Struct, frozen=True):
    """One request that came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    event: dict[str, Any]

    @property
    def entry_id(self) -> EntryId:
        return EntryId.parse(self.event["entryid"])

    @property
    def endpoint_id(self) -> UUID:
        return UUID(self.event["subject"])


Answering = Callable[[Call], Awaitable[web.StreamResponse | None]]


class Receiver:
    """Answers 204 unless *answering* says otherwise.

    Attributes:
        calls: What came in, in its order.
        answered: The entries that were answered with a success, in that order.
        overlaps: How often a request came for an endpoint while another one was being answered.
    """

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.answered: list[EntryId] = []
        self.overlaps = 0
        self.answering: Answering | None = None
        self._running: set[UUID] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.path, headers, body, msgspec.json.decode(body))
        self.calls.append(call)
        self.overlaps += call.endpoint_id in self._running
        self._running.add(call.endpoint_id)
        try:
            answer = None if self.answering is None else await self.answering(call)
        finally:
            self._running.discard(call.endpoint_id)
        answer = answer or web.Response(status=204)
        if answer.status < 300:
            self.answered.append(call.entry_id)
        return answer

    def times(self, entry_id: EntryId) -> int:
        """How often an entry came in."""
        return sum(call.entry_id == entry_id for call in self.calls)

    async def until_called(self, count: int) -> None:
        await wait_until(lambda: len(self.calls) >= count, f"{count} requests")


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{port}/hook"
        yield receiver
    finally:
        await runner.cleanup()


def settings_of(receiver: Receiver, **other: object) -> WebhookSettings:
    given = {"policy": RetryPolicy(3, 0.01, 0.02), "block_ms": 100, **other}
    return WebhookSettings(url=receiver.url, **given)  # type: ignore[arg-type]
