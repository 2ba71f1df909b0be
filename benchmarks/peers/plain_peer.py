"""Plain redis-py, synchronous and asyncio: the least that Python has to do on a stream.

`add` sends XADD in pipelines, `read` reads for a group, decodes with msgspec and acknowledges,
`range` reads with XRANGE and decodes.
"""

import asyncio
import sys
from typing import Any

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from benchmarks.peers.status_event import payloads, place
from benchmarks.peers.stopwatch import Stopwatch, print_figures

_BATCH = 100
_READ = 1_000
_GROUP = "bench"


def _add() -> None:
    url, name, count = place()
    events = list(payloads(count))
    with Redis.from_url(url, protocol=2) as client:
        watch = Stopwatch(url)
        for at in range(0, count, _BATCH):
            pipeline = client.pipeline(transaction=False)
            for event in events[at : at + _BATCH]:
                pipeline.xadd(name, {"name": "model_service_status_updated", "payload": event})
            pipeline.execute()
        print_figures(watch.stop(count))


async def _add_asyncio() -> None:
    url, name, count = place()
    events = list(payloads(count))
    async with AsyncRedis.from_url(url, protocol=2) as client:
        watch = Stopwatch(url)
        for at in range(0, count, _BATCH):
            pipeline = client.pipeline(transaction=False)
            for event in events[at : at + _BATCH]:
                pipeline.xadd(name, {"name": "model_service_status_updated", "payload": event})
            await pipeline.execute()
        print_figures(watch.stop(count))


def _read() -> None:
    url, name, count = place()
    _fill(url, name, count)
    decode = msgspec.json.Decoder().decode
    with Redis.from_url(url, protocol=2) as client:
        watch = Stopwatch(url)
        read: Any = client.xreadgroup
        while reply := read(_GROUP, "c", {name: ">"}, _READ):
            entries = reply[0][1]
            for _, fields in entries:
                decode(fields[b"payload"])
            client.xack(name, _GROUP, *[entry_id for entry_id, _ in entries])
        print_figures(watch.stop(count))


async def _read_asyncio() -> None:
    url, name, count = place()
    _fill(url, name, count)
    decode = msgspec.json.Decoder().decode
    async with AsyncRedis.from_url(url, protocol=2) as client:
        watch = Stopwatch(url)
        read: Any = client.xreadgroup
        while reply := await read(_GROUP, "c", {name: ">"}, _READ):
            entries = reply[0][1]
            for _, fields in entries:
                decode(fields[b"payload"])
            await client.xack(name, _GROUP, *[entry_id for entry_id, _ in entries])
        print_figures(watch.stop(count))


def _range() -> None:
    url, name, count = place()
    _fill(url, name, count)
    decode = msgspec.json.Decoder().decode
    start = "-"
    with Redis.from_url(url, protocol=2) as client:
        watch = Stopwatch(url)
        read: Any = client.xrange
        while entries := read(name, start, "+", _READ):
            for _, fields in entries:
                decode(fields[b"payload"])
            start = f"({entries[-1][0].decode()}"
        print_figures(watch.stop(count))


def _fill(url: str, name: str, count: int) -> None:
    with Redis.from_url(url, protocol=2) as client:
        client.xgroup_create(name, _GROUP, "0", mkstream=True)
        events = list(payloads(count))
        for at in range(0, count, _READ):
            pipeline = client.pipeline(transaction=False)
            for event in events[at : at + _READ]:
                pipeline.xadd(name, {"name": "model_service_status_updated", "payload": event})
            pipeline.execute()


_ROLES = {
    "add": _add,
    "add-asyncio": lambda: asyncio.run(_add_asyncio()),
    "read": _read,
    "read-asyncio": lambda: asyncio.run(_read_asyncio()),
    "range": _range,
}

if __name__ == "__main__":
    _ROLES[sys.argv[1]]()
