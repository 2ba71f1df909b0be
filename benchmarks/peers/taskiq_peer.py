"""taskiq on a Redis stream: one task for an event, which does nothing."""

import asyncio
import logging

from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from benchmarks.peers.status_event import payloads, place
from benchmarks.peers.stopwatch import Stopwatch, print_figures

_GROUP = "bench"


async def _work() -> None:
    url, name, count = place()
    broker = RedisStreamBroker(url, queue_name=name, consumer_group_name=_GROUP, consumer_id="0")
    done = asyncio.Event()
    seen = 0

    @broker.task
    async def handle(_event: str) -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            done.set()

    await broker.startup()
    for event in payloads(count):
        await handle.kiq(event.decode())
    watch = Stopwatch(url)
    receiver = asyncio.create_task(run_receiver_task(broker, max_async_tasks=100))
    await done.wait()
    async with Redis.from_url(url) as client:
        while (await client.xpending(name, _GROUP))["pending"]:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.002)
    print_figures(watch.stop(count))
    receiver.cancel()
    await asyncio.wait([receiver])
    await broker.shutdown()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    asyncio.run(_work())
