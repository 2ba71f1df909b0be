"""Run every benchmark and print its table: `make bench`.

The rounds of ours and of the plain loop alternate, so that both see the same machine. Medians are
printed, and their ratio; no time is asserted.
"""

import os
from collections.abc import Awaitable, Callable
from statistics import median

import anyio
from rich.console import Console
from rich.table import Table

from benchmarks import append, latency, project
from consumers.embedded import embedded_server
from consumers.logs import configure_logs

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))

Run = Callable[[str], Awaitable[float]]


async def _alternating(url: str, ours: Run, plain: Run) -> tuple[float, float]:
    """Return the medians of all rounds."""
    rounds = [(await ours(url), await plain(url)) for _ in range(ROUNDS)]
    return median(one for one, _ in rounds), median(other for _, other in rounds)


async def _measure(url: str, table: Table) -> None:
    for what, ours, plain in (
        (f"append, {append.BATCH} a batch (events/s)", append.ours, append.plain),
        ("project, one process (events/s)", project.ours, project.plain),
    ):
        own, other = await _alternating(url, ours, plain)
        table.add_row(what, f"{own:,.0f}", f"{other:,.0f}", f"{own / other:.2f}")
    rounds = [(await latency.ours(url), await latency.plain(url)) for _ in range(ROUNDS)]
    for what, field in (("p50", "p50_ms"), ("p99", "p99_ms")):
        own = median(getattr(one, field) for one, _ in rounds)
        other = median(getattr(one, field) for _, one in rounds)
        name = f"append to routable(), {latency.PER_SECOND:,}/s, {what} (ms)"
        table.add_row(name, f"{own:.2f}", f"{other:.2f}", f"{own / other:.2f}")


def main() -> None:
    """Measure on a server of our own, with its append-only file on."""
    configure_logs("error")
    table = Table("WHAT", "ROUTESTREAM", "PLAIN REDIS-PY", "RATIO", box=None)
    with embedded_server() as server:
        anyio.run(_measure, server.url, table)
    Console().print(f"medians of {ROUNDS} alternating rounds, {os.cpu_count()} cores")
    Console().print(table)


if __name__ == "__main__":
    main()
