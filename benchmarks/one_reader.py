"""A reader of the whole table: how long it starts, what it keeps, and what a question costs."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, perf_counter_ns
from uuid import uuid4

import anyio

from benchmarks.append import fill
from benchmarks.peers.stopwatch import print_figures
from benchmarks.program import Figures, figures_of, python
from benchmarks.project import project_until_stopped, until_worked_off
from benchmarks.workload import beginnings, endpoints
from consumers.cli.program import collect_rarely
from consumers.processes.logs import configure_logs
from events import open_log
from projections import open_reader

_ASKED = 200_000
_PAGE_BYTES = 4_096


async def measured(url: str, count: int) -> Figures:
    """Return what one reader needs for so many endpoints."""
    namespace = f"bench-{uuid4()}"
    async with open_log(url, namespace=namespace) as log:
        await fill(log, beginnings(endpoints(count)))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(project_until_stopped, log)
            await until_worked_off(log)
            tasks.cancel_scope.cancel()
    return await figures_of(*python("benchmarks.one_reader", url, namespace, str(count)))


async def _read(url: str, namespace: str, count: int) -> None:
    ids = [endpoint_id for endpoint_id, _ in endpoints(count)]
    async with open_log(url, namespace=namespace) as log:
        gc.collect()
        before = _memory_bytes()
        began_at = perf_counter()
        async with open_reader(log) as reader:
            start_s = perf_counter() - began_at
            for endpoint_id in ids:
                if not reader.endpoint(endpoint_id):
                    raise AssertionError(f"{endpoint_id}: not in the table")
                reader.routable(endpoint_id)
            gc.collect()
            print_figures(
                {
                    "start_s": start_s,
                    "kb_an_endpoint": (_memory_bytes() - before) / count / 1_024,
                    "routable_ns": _ns(lambda: reader.routable(ids[0])),
                    "choose_ns": _ns(lambda: reader.choose(ids[0])),
                }
            )


def _ns(ask: Callable[[], object]) -> float:
    """Return nanoseconds of one call, without those of the loop around it."""

    def nothing() -> None:
        return None

    def took(call: Callable[[], object]) -> int:
        began_ns = perf_counter_ns()
        for _ in range(_ASKED):
            call()
        return perf_counter_ns() - began_ns

    return max(0, min(took(ask) for _ in range(3)) - min(took(nothing) for _ in range(3))) / _ASKED


def _memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def main(url: str, namespace: str, count: str) -> None:
    """Be the process that reads."""
    configure_logs("error")
    collect_rarely()
    anyio.run(_read, url, namespace, int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
