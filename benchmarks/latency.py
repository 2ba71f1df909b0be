"""Latency: from an append to `routable()` in another process, at a steady rate.

Three processes: one appends, one projects, one reads. Beside it the same with plain redis-py: XADD,
a loop that writes with HSET and PUBLISHes the key, a subscriber that fetches it with HGET. An
event carries the time at which its append began; all processes read the same monotonic clock.
"""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import Any
from uuid import UUID, uuid4

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from redis.asyncio import Redis

from benchmarks.append import fill
from benchmarks.project import project_until_stopped
from benchmarks.workload import beginnings, endpoints
from consumers.cli.program import collect_rarely
from consumers.processes.logs import configure_logs
from events import ModelServiceStatusEvent, open_log
from projections import open_reader

ENDPOINTS = 50
_STEPS_PER_S = 1_000
_QUIET_S = 1.0


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from append to routable: the median, and the 99th percentile."""

    p50_ms: float
    p99_ms: float
    seen: int


async def ours(url: str, per_second: int, events: int) -> Latency:
    """Measure routestream."""
    namespace = f"bench-{uuid4()}"
    of = endpoints(ENDPOINTS)
    async with open_log(url, namespace=namespace) as log:
        await fill(log, beginnings(of))
        async with _process("project", url, namespace), _process("read", url, namespace) as reader:
            places = [(one, routes[0].route_id) for one, routes in of]

            async def append(numbers: range) -> None:
                await log.append(
                    *(
                        ModelServiceStatusEvent(
                            endpoint_id=places[number % ENDPOINTS][0],
                            route_id=places[number % ENDPOINTS][1],
                            new_status="healthy",
                            reason=str(time.monotonic_ns()),
                        )
                        for number in numbers
                    )
                )

            await _at_rate(append, per_second, events)
            return await _result(reader)


async def plain(url: str, per_second: int, events: int) -> Latency:
    """Measure the plain loop."""
    stream = f"bench-{uuid4()}"
    async with (
        Redis.from_url(url, protocol=2) as client,
        _process("plain-loop", url, stream),
        _process("plain-read", url, stream) as reader,
    ):

        async def append(numbers: range) -> None:
            pipeline = client.pipeline(transaction=False)
            for number in numbers:
                payload = {"endpoint": str(number % ENDPOINTS), "at": time.monotonic_ns()}
                pipeline.xadd(stream, {"payload": msgspec.json.encode(payload)})
            await pipeline.execute()

        await _at_rate(append, per_second, events)
        return await _result(reader)


async def _at_rate(
    append: Callable[[range], Awaitable[None]], per_second: int, events: int
) -> None:
    """Append each millisecond what is due in it, in one step."""
    at_once = max(1, per_second // _STEPS_PER_S)
    began_at = time.monotonic()
    for number in range(0, events, at_once):
        await append(range(number, number + at_once))
        due_at = began_at + (number + at_once) / per_second
        await anyio.sleep(max(0.0, due_at - time.monotonic()))


@asynccontextmanager
async def _process(role: str, url: str, name: str) -> AsyncIterator[Process]:
    """Run this module in *role*, from the moment it says that it is ready."""
    command = [sys.executable, "-m", "benchmarks.latency", role, url, name]
    async with await anyio.open_process(command, stderr=None, stdin=subprocess.DEVNULL) as process:
        if process.stdout is not None:
            await process.stdout.receive()
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def _result(reader: Process) -> Latency:
    text = (
        "".join([part async for part in TextReceiveStream(reader.stdout)]) if reader.stdout else ""
    )
    return msgspec.json.decode(text, type=Latency)


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _summary(delays_ns: list[int]) -> str:
    cuts = quantiles(delays_ns, n=100)
    latency = Latency(cuts[49] / 1e6, cuts[98] / 1e6, len(delays_ns))
    return msgspec.json.encode(latency).decode()


async def _read(url: str, namespace: str) -> None:
    """Look at every endpoint whenever something changed, until nothing does any more."""
    async with open_log(url, namespace=namespace) as log, open_reader(log) as reader:
        places = [one for one, _ in endpoints(ENDPOINTS)]
        last: dict[UUID, str | None] = {}
        delays: list[int] = []
        _say("ready\n")
        while True:
            with anyio.move_on_after(_QUIET_S if delays else None) as quiet:
                await reader.changed()
            if quiet.cancelled_caught:
                break
            for one in places:
                said = next(
                    (r.health_reason for r in reader.routable(one) if r.health_reason), None
                )
                if said is not None and said != last.get(one):
                    delays.append(time.monotonic_ns() - int(said))
                    last[one] = said
    _say(_summary(delays))


async def _project(url: str, namespace: str) -> None:
    async with open_log(url, namespace=namespace) as log:
        await project_until_stopped(log, lambda: _say("ready\n"))


async def _plain_loop(url: str, stream: str) -> None:
    async with Redis.from_url(url, protocol=2, socket_timeout=None) as client:
        await client.xgroup_create(stream, "plain", "0", mkstream=True)
        _say("ready\n")
        reply: Any
        while True:
            reply = await client.xreadgroup("plain", "c", {stream: ">"}, 1_000, block=1_000)
            for _, entries in reply or []:
                pipeline = client.pipeline(transaction=False)
                for entry_id, fields in entries:
                    payload = msgspec.json.decode(fields[b"payload"])
                    pipeline.hset(f"{stream}:table", payload["endpoint"], fields[b"payload"])
                    pipeline.publish(f"{stream}:changes", payload["endpoint"])
                    pipeline.xack(stream, "plain", entry_id)
                await pipeline.execute()


async def _plain_read(url: str, stream: str) -> None:
    table: dict[bytes, int] = {}
    delays: list[int] = []
    async with Redis.from_url(url, protocol=2) as client, client.pubsub() as pubsub:
        await pubsub.subscribe(f"{stream}:changes")
        _say("ready\n")
        while True:
            told = await pubsub.get_message(ignore_subscribe_messages=True, timeout=_QUIET_S)
            if told is None:
                if delays:
                    break
                continue
            payload = msgspec.json.decode(await client.hget(f"{stream}:table", told["data"]) or b"")
            if table.get(told["data"]) != payload["at"]:
                table[told["data"]] = payload["at"]
                delays.append(time.monotonic_ns() - payload["at"])
    _say(_summary(delays))


_ROLES = {"project": _project, "read": _read, "plain-loop": _plain_loop, "plain-read": _plain_read}


def main(role: str, url: str, name: str) -> None:
    """Be one of the processes."""
    configure_logs("error")
    collect_rarely()
    anyio.run(_ROLES[role], url, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
