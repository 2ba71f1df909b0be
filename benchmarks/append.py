"""Append in batches: `EventLog.append` beside XADD in a redis-py pipeline."""

from time import perf_counter
from uuid import uuid4

import msgspec
from redis.asyncio import Redis

from benchmarks.workload import changes, endpoints
from events import Event, EventLog, open_log

BATCH = 100
EVENTS = 20_000


async def ours(url: str) -> float:
    """Return events appended per second."""
    batches = _batches()
    async with open_log(url, namespace=f"bench-{uuid4()}") as log:
        began_at = perf_counter()
        for batch in batches:
            await log.append(*batch)
        return EVENTS / (perf_counter() - began_at)


async def plain(url: str) -> float:
    """Return entries added per second: encoded with msgspec, one pipeline a batch, no checks."""
    batches = _batches()
    encode = msgspec.json.Encoder().encode
    stream = f"bench-{uuid4()}"
    async with Redis.from_url(url, protocol=2) as client:
        began_at = perf_counter()
        for batch in batches:
            pipeline = client.pipeline(transaction=False)
            for event in batch:
                pipeline.xadd(stream, {"name": event.wire_name, "payload": encode(event)})
            await pipeline.execute()
        return EVENTS / (perf_counter() - began_at)


def _batches() -> list[list[Event]]:
    events = list(changes(endpoints(), EVENTS))
    return [events[at : at + BATCH] for at in range(0, EVENTS, BATCH)]


async def fill(log: EventLog, events: list[Event]) -> None:
    """Append all of *events* in large batches."""
    for at in range(0, len(events), 2_000):
        await log.append(*events[at : at + 2_000])
