"""Handlers: a group whose handler does nothing, and one that POSTs to a server that takes 5 ms.

Beside the webhook the same POSTs, sent by aiohttp alone with as many at a time.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import anyio
from aiohttp import ClientSession, web

from benchmarks.append import fill
from benchmarks.peers.status_event import payloads
from benchmarks.peers.stopwatch import Stopwatch, print_figures
from benchmarks.program import Figures, figures_of, python, started
from benchmarks.workload import endpoints, statuses
from consumers.cli.program import collect_rarely
from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.handlers.handler_settings import HandlerSettings
from consumers.handlers.handler_work import HandlerWork
from consumers.processes.logs import configure_logs
from consumers.webhook.webhook_group import webhook_consumers
from consumers.webhook.webhook_settings import WebhookSettings
from events import EventLog, RecordedEvent, open_log
from events.entry.entry_id import START

ANSWER_S = 0.005
AT_ONCE = HandlerSettings().concurrency

_GROUP = "bench"
_LOOK_EVERY_S = 0.005


async def posted(role: str, url: str, *, count: int) -> Figures:
    """Return what a process needs that sends events to a receiver in another one."""
    async with started(*python("benchmarks.handlers", "receive", url, "0")) as receiver:
        port = (await receiver.line()).strip()
        return await figures_of(*python("benchmarks.handlers", role, url, str(count), port))


async def _nothing(url: str, count: int, of: int) -> None:
    """Handle *count* events of so many endpoints."""

    async def handle(_recorded: RecordedEvent) -> None:
        """Do nothing."""

    async with _filled(url, count, of) as log:
        work = HandlerWork(handle, start=START)
        consumer = HandlerConsumer(log, 0, (_GROUP, "one"), work, HandlerSettings())
        await _measured(url, log, _GROUP, consumer, count)


async def _webhook(url: str, count: int, port: int) -> None:
    settings = WebhookSettings(url=f"http://127.0.0.1:{port}/events")
    async with _filled(url, count, 1_000) as log:
        # A new group of webhooks begins at the end; this one has a backlog.
        await log.server.client.call("XGROUP CREATE", log.keys.events(0), "webhook", "0")
        async with webhook_consumers(log, "one", settings) as [consumer]:
            await _measured(url, log, "webhook", consumer, count)


@asynccontextmanager
async def _filled(url: str, count: int, of: int) -> AsyncIterator[EventLog]:
    async with open_log(url, namespace=f"bench-{uuid4()}") as log:
        await fill(log, list(statuses(endpoints(of), count)))
        yield log


async def _measured(
    url: str, log: EventLog, group: str, consumer: HandlerConsumer, count: int
) -> None:
    watch = Stopwatch(url)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consumer.run)
        while not await _is_worked_off(log, group):  # noqa: ASYNC110 - the server has no event
            await anyio.sleep(_LOOK_EVERY_S)
        print_figures(watch.stop(count))
        tasks.cancel_scope.cancel()


async def _is_worked_off(log: EventLog, group: str) -> bool:
    groups = await log.server.client.execute_command("XINFO GROUPS", log.keys.events(0))
    return any(
        one["name"] == group.encode() and one["lag"] == 0 and one["pending"] == 0 for one in groups
    )


async def _aiohttp(url: str, count: int, port: int) -> None:
    left = payloads(count)

    async def send(session: ClientSession) -> None:
        for event in left:
            async with session.post(f"http://127.0.0.1:{port}/events", data=event) as response:
                await response.read()

    async with ClientSession() as session:
        watch = Stopwatch(url)
        async with anyio.create_task_group() as senders:
            for _ in range(AT_ONCE):
                senders.start_soon(send, session)
        print_figures(watch.stop(count))


async def _receive(_url: str, _count: int) -> None:
    async def take(request: web.Request) -> web.Response:
        await request.read()
        await anyio.sleep(ANSWER_S)
        return web.Response()

    app = web.Application()
    app.router.add_post("/events", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await anyio.sleep_forever()


_ROLES: dict[str, Callable[..., Awaitable[Any]]] = {
    "nothing": _nothing,
    "webhook": _webhook,
    "aiohttp": _aiohttp,
    "receive": _receive,
}


def main(role: str, url: str, *counts: str) -> None:
    """Be one of the processes."""
    configure_logs("error")
    collect_rarely()
    anyio.run(_ROLES[role], url, *map(int, counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
