"""Scale: how long each reading command takes on a log of many entries and endpoints.

The log is filled on a server of its own without an append-only file: ten million entries take six
gigabytes of its memory. `python -m benchmarks.scale ENTRIES ENDPOINTS`; the time is that of a core,
for others use this machine, too, and Linux counts that of a process alone.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from subprocess import DEVNULL
from time import perf_counter
from typing import NamedTuple

import anyio
import anyio.to_thread
from rich.console import Console
from rich.table import Table

from benchmarks.append import fill
from benchmarks.workload import Endpoint, beginnings, changes, endpoints
from consumers.processes.embedded import EmbeddedServer, embedded_server
from consumers.processes.logs import configure_logs
from consumers.processes.supervisor import routestream_command
from events import open_log

NAMESPACE = "scale"
SHORT = (20_000, 1_000)
WHOLE = (10_000_000, 100_000)
_PORTION = 20_000
_GROUP = "route-table"


class Took(NamedTuple):
    """What one command took, by the clock and of a core, and its memory."""

    wall_s: float
    core_s: float
    memory_mb: float
    exit_code: int


async def filled(url: str, entries: int, of: list[Endpoint]) -> None:
    """Make a log of so many entries, and a group that has read none of them."""
    async with open_log(url, namespace=NAMESPACE) as log:
        await fill(log, beginnings(of))
        more = changes(of, entries - 2 * len(of))
        while portion := list(islice(more, _PORTION)):
            await fill(log, portion)
        await log.server.client.call("XGROUP", "CREATE", log.keys.events(0), _GROUP, "0")


def commands(endpoint: str) -> Iterator[tuple[str, ...]]:
    """Yield the reading commands, as a person at night asks them."""
    yield ("streams", "ls")
    yield ("streams", "show", f"{{{NAMESPACE}:0}}:events")
    for noun in ("groups", "endpoints", "health", "dead", "proxies", "snapshot"):
        yield (noun, "ls")
    for verb in ("show", "pending", "losses"):
        yield ("groups", verb, _GROUP)
    for verb in ("show", "why"):
        yield ("endpoints", verb, endpoint)
    yield ("endpoints", "show", endpoint[:8])
    yield ("health", "show", endpoint)
    yield ("events", "tail", "--count", "10")
    yield ("events", "tail", "--count", "10", "--endpoint", endpoint)
    yield ("events", "stats")
    yield ("events", "trace", endpoint)
    yield ("doctor",)
    yield ("check",)
    yield ("config", "show")


def took(url: str, *arguments: str) -> Took:
    """Run one command to its end."""
    command = routestream_command("--url", url, "--namespace", NAMESPACE, *arguments)
    began_at = perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Took(
        wall_s=perf_counter() - began_at,
        core_s=used.ru_utime + used.ru_stime,
        memory_mb=used.ru_maxrss / 1_024,
        exit_code=process.returncode,
    )


async def measure(table: Table, entries: int, count: int) -> None:
    """Fill a log, build both read models, and run each command."""
    with embedded_server("--appendonly", "no") as server:
        of = endpoints(count)
        await filled(server.url, entries, of)
        for read_model in ("route-table", "health-state"):
            await _add(table, server, "replay", "rebuild", read_model, "--yes")
        for arguments in commands(str(of[0][0])):
            await _add(table, server, *arguments)


async def _add(table: Table, server: EmbeddedServer, *arguments: str) -> None:
    found = await anyio.to_thread.run_sync(took, server.url, *arguments)
    figures = (f"{found.wall_s:.2f}", f"{found.core_s:.2f}", f"{found.memory_mb:,.0f}")
    table.add_row(" ".join(arguments), *figures, str(found.exit_code))


def main(*given: str) -> None:
    """Print the table; `short` measures a small log."""
    configure_logs("error")
    entries, count = SHORT if given == ("short",) else tuple(map(int, given)) or WHOLE
    columns = ("S", "S OF A CORE", "MB", "EXIT CODE")
    table = Table(f"{entries:,} ENTRIES, {count:,} ENDPOINTS", *columns, box=None)
    anyio.run(measure, table, entries, count)
    Console(width=120).print(table)
    Console().print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main(*sys.argv[1:])
