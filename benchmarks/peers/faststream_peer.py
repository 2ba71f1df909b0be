"""FastStream on Redis streams: publish and subscribe, one by one or many at a time.

A pipeline is its fastest way of publishing to a stream. The subscribers do nothing.
"""

import asyncio
import logging
import sys
from typing import Any

from faststream.redis import RedisBroker, StreamSub
from redis.asyncio import Redis

from benchmarks.peers.status_event import payloads, place
from benchmarks.peers.stopwatch import Stopwatch, print_figures

_BATCH = 100
_READ = 1_000
_GROUP = "bench"


async def _publish(*, pipelined: bool) -> None:
    url, name, count = place()
    events = list(payloads(count))
    async with _broker(url) as broker, Redis.from_url(url) as client:
        await broker.connect()
        watch = Stopwatch(url)
        if not pipelined:
            for event in events:
                await broker.publish(event, stream=name)
        for at in range(0, count if pipelined else 0, _BATCH):
            pipeline = client.pipeline(transaction=False)
            for event in events[at : at + _BATCH]:
                await broker.publish(event, stream=name, pipeline=pipeline)
            await pipeline.execute()
        print_figures(watch.stop(count))


async def _subscribe(*, batch: bool) -> None:
    url, name, count = place()
    await _fill(url, name, count)
    broker = _broker(url)
    done = asyncio.Event()
    seen = 0
    subscription = StreamSub(
        name, group=_GROUP, consumer="bench", batch=batch, max_records=_READ, last_id="0"
    )

    @broker.subscriber(stream=subscription)
    async def handle(event: Any) -> None:  # noqa: ANN401 - what it decodes
        nonlocal seen
        seen += len(event) if batch else 1
        if seen >= count:
            done.set()

    async with broker:
        watch = Stopwatch(url)
        await broker.start()
        await done.wait()
        async with Redis.from_url(url) as client:
            while (await client.xpending(name, _GROUP))["pending"]:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.002)
        print_figures(watch.stop(count))


def _broker(url: str) -> Any:  # noqa: ANN401 - the peers publish few types
    return RedisBroker(url, logger=None, log_level=logging.ERROR)


async def _fill(url: str, name: str, count: int) -> None:
    events = list(payloads(count))
    async with _broker(url) as broker, Redis.from_url(url) as client:
        await broker.connect()
        for at in range(0, count, _READ):
            pipeline = client.pipeline(transaction=False)
            for event in events[at : at + _READ]:
                await broker.publish(event, stream=name, pipeline=pipeline)
            await pipeline.execute()


_ROLES = {
    "publish": lambda: _publish(pipelined=False),
    "publish-pipelined": lambda: _publish(pipelined=True),
    "subscribe": lambda: _subscribe(batch=False),
    "subscribe-batch": lambda: _subscribe(batch=True),
}

if __name__ == "__main__":
    asyncio.run(_ROLES[sys.argv[1]]())
