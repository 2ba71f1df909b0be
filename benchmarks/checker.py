"""One checker process that probes thousands of routes, beside a plain loop as Backend.AI has it.

Both probe the same servers, whose process tells when each route was asked. First all answer; then
some hang until the deadline, and some others are dead.
"""

import os
import sys
from collections.abc import Callable
from itertools import pairwise
from statistics import median, quantiles
from subprocess import PIPE

import anyio
import anyio.abc
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream
from rich.console import Console
from rich.table import Table

from benchmarks.checker_roles import (
    MORTAL,
    MORTAL_INTERVAL_S,
    MORTAL_RETRIES,
    WAIT_S,
    Mark,
    Scale,
)
from benchmarks.model_servers import Seen

WHOLE = Scale(routes=10_000, interval_s=10.0, hanging=500, steady_s=30.0)
SHORT = Scale(routes=2_000, interval_s=2.0, hanging=100, steady_s=6.0)


class Figures(msgspec.Struct):
    """What was measured of one probing process."""

    probes_per_s: float
    core_percent: float
    late_ms: tuple[float, float]
    late_while_some_hang_ms: tuple[float, float]
    kb_a_route: float
    slowest_verdict_s: float | None


class Child:
    """A process of this benchmark, told what to do a line at a time."""

    def __init__(self, process: anyio.abc.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process has no pipes to talk through")
        self._input = process.stdin
        self._output = BufferedByteReceiveStream(process.stdout)

    async def tell(self, command: str = "") -> None:
        """Write a line."""
        await self._input.send(f"{command}\n".encode())

    async def line(self) -> bytes:
        """Return the next line of the output."""
        return await self._output.receive_until(b"\n", 100_000_000)

    async def mark(self) -> Mark:
        """Ask for a mark."""
        await self.tell()
        return msgspec.json.decode(await self.line(), type=Mark)

    async def rest(self) -> bytes:
        """End the input, and return all that is left of the output."""
        await self._input.aclose()
        return b"".join([chunk async for chunk in self._output])


async def measure_role(role: str, scale: Scale) -> Figures:
    """Run the servers and one probing process, and return what they saw."""
    async with await anyio.open_process(
        [sys.executable, "-m", "benchmarks.model_servers"], stdin=PIPE, stdout=PIPE, stderr=None
    ) as server_process:
        servers = Child(server_process)
        port = (await servers.line()).decode().strip()
        given = msgspec.json.encode(scale).decode()
        async with await anyio.open_process(
            [sys.executable, "-m", "benchmarks.checker_roles", role, port, given],
            stdin=PIPE,
            stdout=PIPE,
            stderr=None,
        ) as process:
            prober = Child(process)
            await prober.mark()
            await anyio.sleep(2 * scale.interval_s)
            marks = [await prober.mark()]
            await anyio.sleep(scale.steady_s)
            marks.append(await prober.mark())
            await servers.tell(f"hang 0 {scale.hanging}")
            await servers.tell(f"kill {scale.routes} {scale.routes + MORTAL}")
            await anyio.sleep(max(scale.steady_s, 2 * WAIT_S))
            marks.append(await prober.mark())
            await prober.rest()
        return _figures(scale, marks, msgspec.json.decode(await servers.rest(), type=Seen))


def _figures(scale: Scale, marks: list[Mark], seen: Seen) -> Figures:
    begun, steady, ended = marks
    took_s = steady.at - begun.at
    probes = sum(begun.at < at < steady.at for asked in seen.asked_at.values() for at in asked)
    deaths = range(scale.routes, scale.routes + MORTAL)
    recorded = [ended.unhealthy_at[route] for route in deaths if route in ended.unhealthy_at]
    everyone = len(recorded) == MORTAL
    return Figures(
        probes_per_s=probes / took_s,
        core_percent=100 * (steady.cpu_s - begun.cpu_s) / took_s,
        late_ms=_late_ms(scale, seen, range(scale.routes), begun.at, steady.at),
        late_while_some_hang_ms=_late_ms(
            scale, seen, range(scale.hanging, scale.routes), steady.at, ended.at
        ),
        kb_a_route=steady.memory_kb / (scale.routes + MORTAL),
        slowest_verdict_s=max(recorded) - seen.changed_at["kill"] if everyone else None,
    )


def _late_ms(
    scale: Scale, seen: Seen, routes: range, since: float, until: float
) -> tuple[float, float]:
    """Return median and 99th percentile of how late probes came: by what an interval was longer."""
    late_ms = [
        max(0.0, after - before - scale.interval_s) * 1e3
        for route in routes
        for before, after in pairwise([*seen.asked_at.get(route, ()), until])
        if since < before < until and (after < until or after - before > scale.interval_s)
    ]
    return median(late_ms), quantiles(late_ms, n=100)[-1]


async def measure(table: Table, scale: Scale) -> None:
    """Measure ours and the plain loop, one after the other."""
    own, other = await measure_role("ours", scale), await measure_role("plain", scale)
    bound_s = MORTAL_RETRIES * MORTAL_INTERVAL_S + 1
    rows: tuple[tuple[str, Callable[[Figures], str], str], ...] = (
        ("probes/s", lambda one: f"{one.probes_per_s:,.0f}", ""),
        ("% of a core", lambda one: f"{one.core_percent:.0f}", "100"),
        ("due to asked, p50 (ms)", lambda one: f"{one.late_ms[0]:,.1f}", ""),
        ("due to asked, p99 (ms)", lambda one: f"{one.late_ms[1]:,.1f}", "250"),
        (
            f"  the others' while {scale.hanging:,} hang, p99 (ms)",
            lambda one: f"{one.late_while_some_hang_ms[1]:,.1f}",
            "250",
        ),
        ("memory for a route (KB)", lambda one: f"{one.kb_a_route:.1f}", "20"),
        (
            f"death to verdict, {MORTAL_RETRIES} x {MORTAL_INTERVAL_S:g} s, slowest (s)",
            lambda one: f"{one.slowest_verdict_s or float('inf'):.2f}",
            f"{bound_s:g}",
        ),
    )
    for what, shown, limit in rows:
        table.add_row(f"checker: {what}", shown(own), shown(other), limit)


def table_of(scale: Scale) -> Table:
    """Return the table that `measure` fills."""
    what = f"{scale.routes:,} ROUTES, EVERY {scale.interval_s:g} S"
    return Table(what, "ROUTESTREAM", "PLAIN LOOP", "AT MOST", box=None)


def main() -> None:
    """Print the checker's table alone: `python -m benchmarks.checker [short]`."""
    scale = SHORT if sys.argv[1:] == ["short"] else WHOLE
    load = os.getloadavg()[0]
    table = table_of(scale)
    anyio.run(measure, table, scale)
    Console().print(table)
    Console().print(f"load {load:.1f} to {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
