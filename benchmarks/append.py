"""Append: in batches, one awaited after another, and at a steady rate; beside XADD of redis-py."""

import sys
import time
from collections.abc import Awaitable, Callable
from statistics import quantiles
from uuid import uuid4

import anyio
from redis.asyncio import Redis

from benchmarks.peers.status_event import payloads
from benchmarks.peers.stopwatch import Stopwatch, print_figures
from benchmarks.workload import endpoints, statuses
from consumers.cli.program import collect_rarely
from consumers.processes.logs import configure_logs
from events import Event, EventLog, open_log

BATCH = 100
PER_SECOND = 1_000

Append = Callable[[int], Awaitable[None]]


async def fill(log: EventLog, events: list[Event]) -> None:
    """Append all of *events* in large batches."""
    for at in range(0, len(events), 2_000):
        await log.append(*events[at : at + 2_000])


async def _batches(url: str, count: int) -> None:
    events = list(statuses(endpoints(), count))
    async with open_log(url, namespace=f"bench-{uuid4()}") as log:
        watch = Stopwatch(url)
        for at in range(0, count, BATCH):
            await log.append(*events[at : at + BATCH])
        print_figures(watch.stop(count))


async def _one_by_one(url: str, count: int) -> None:
    events = list(statuses(endpoints(), 2 * count))
    async with open_log(url, namespace=f"bench-{uuid4()}") as log:

        async def append(number: int) -> None:
            await log.append(events[number])

        await _timed(append, count)


async def _plain_one_by_one(url: str, count: int) -> None:
    events = list(payloads(2 * count))
    async with Redis.from_url(url, protocol=2) as client:

        async def add(number: int) -> None:
            await client.xadd(
                "bench", {"name": "model_service_status_updated", "payload": events[number]}
            )

        await _timed(add, count)


async def _timed(append: Append, count: int) -> None:
    """Print the median of appends one after another, and the 99th percentile at a steady rate."""
    waited_ns = []
    for number in range(count):
        began_ns = time.perf_counter_ns()
        await append(number)
        waited_ns.append(time.perf_counter_ns() - began_ns)
    paced_ns = []
    due_ns = time.perf_counter_ns()
    for number in range(count, 2 * count):
        due_ns += 1_000_000_000 // PER_SECOND
        await anyio.sleep(max(0.0, (due_ns - time.perf_counter_ns()) / 1e9))
        began_ns = time.perf_counter_ns()
        await append(number)
        paced_ns.append(time.perf_counter_ns() - began_ns)
    figures = {"p50_ms": waited_ns, "paced_ms": paced_ns}
    cuts = {name: quantiles(all_ns, n=100) for name, all_ns in figures.items()}
    print_figures({"p50_ms": cuts["p50_ms"][49] / 1e6, "p99_ms": cuts["paced_ms"][98] / 1e6})


_ROLES = {"batches": _batches, "one-by-one": _one_by_one, "plain-one-by-one": _plain_one_by_one}


def main(role: str, url: str, count: str) -> None:
    """Be one of the processes."""
    configure_logs("error")
    collect_rarely()
    anyio.run(_ROLES[role], url, int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
