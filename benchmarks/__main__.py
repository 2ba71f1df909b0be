"""Run every benchmark and print its table: `make bench`.

The rounds of ours and of the plain loop alternate, so that both see the same machine. Medians are
printed, and their ratio; no time is asserted.
"""

import os
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median

import anyio
from rich.console import Console
from rich.table import Table

from benchmarks import append, checker, groups, latency, project, proxied, publishers, replay
from consumers.processes.embedded import embedded_server
from consumers.processes.logs import configure_logs
from consumers.processes.traefik_process import is_traefik_installed

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))

REPLAY_ROUNDS_MAX = 3

Run = Callable[[str], Awaitable[float]]


async def _alternating(url: str, ours: Run, plain: Run) -> tuple[float, float]:
    """Return the medians of all rounds."""
    rounds = [(await ours(url), await plain(url)) for _ in range(ROUNDS)]
    return median(one for one, _ in rounds), median(other for _, other in rounds)


async def _measure(url: str, table: Table) -> None:
    for what, ours, plain in (
        (f"append, {append.BATCH} a batch (events/s)", append.ours, append.plain),
        ("project, one process (events/s)", project.ours, project.plain),
        ("requests through examples/proxy.py (1/s)", proxied.ours, proxied.plain),
    ):
        own, other = await _alternating(url, ours, plain)
        table.add_row(what, f"{own:,.0f}", f"{other:,.0f}", f"{own / other:.2f}")
    rounds = [(await latency.ours(url), await latency.plain(url)) for _ in range(ROUNDS)]
    for what, field in (("p50", "p50_ms"), ("p99", "p99_ms")):
        own = median(getattr(one, field) for one, _ in rounds)
        other = median(getattr(one, field) for _, one in rounds)
        name = f"append to routable(), {latency.PER_SECOND:,}/s, {what} (ms)"
        table.add_row(name, f"{own:.2f}", f"{other:.2f}", f"{own / other:.2f}")


async def _measure_groups(url: str, table: Table) -> None:
    """Measure what has no plain counterpart, beside what it is meant to keep to."""
    rounds = [
        (
            await groups.takeover_after_kill_ms(url),
            await groups.takeover_after_stop_ms(url),
            await groups.idle(),
        )
        for _ in range(ROUNDS)
    ]
    kills, stops, idles = zip(*rounds, strict=True)
    claim_ms = float(groups.CLAIM_IDLE_MS)
    many = await groups.connections(url)
    for what, measured, limit in (
        (f"handled after SIGKILL, claim {claim_ms:,.0f} (ms)", median(kills), claim_ms + 1_000),
        ("handled after SIGTERM (ms)", median(stops), 200.0),
        ("idle process (% of a core)", median(one.core_percent for one in idles), 1.0),
        ("idle process (commands/s)", median(one.commands_per_s for one in idles), 2.0),
        (f"connections of {groups.PROCESSES} processes, idle", many.idle, many.bound),
        (f"connections of {groups.PROCESSES} processes, most", many.most, many.bound),
    ):
        shown = (f"{one:,.2f}".rstrip("0").rstrip(".") for one in (measured, limit))
        table.add_row(what, *shown, f"{measured / limit:.2f}")


async def _measure_replay(url: str, table: Table) -> None:
    """Say what a replay of a long log costs; its rounds are fewer, for they take longer."""
    namespace = await replay.filled(url)
    measured = partial(replay.measured, url, namespace)
    rounds = [
        [await measured(role) for role in (*replay.FOLDS, "plain")]
        for _ in range(min(ROUNDS, REPLAY_ROUNDS_MAX))
    ]
    for place, role in enumerate(replay.FOLDS):
        for what, field in (("", "per_second"), (" of a core", "per_core_second")):
            own, other = (median(one[side][field] for one in rounds) for side in (place, -1))
            name = f"{role}, {replay.EVENTS:,} events for a rebuild (events/s{what})"
            table.add_row(name, f"{own:,.0f}", f"{other:,.0f}", f"{own / other:.2f}")
        whole_s = median(one[place]["took_s"] for one in rounds)
        off_most = median(one[place]["eta_off_most"] for one in rounds)
        last = rounds[-1][place]
        for what, shown in (
            ("the whole, documents written and compared (events/s)", replay.EVENTS / whole_s),
            ("memory (MB)", last["memory_mb"]),
            ("memory as planned (MB)", last["planned_mb"]),
        ):
            table.add_row(f"  {what}", f"{shown:,.0f}", "", "")
        table.add_row("  time left, off at most after 5 % (%)", f"{off_most:.0%}", "", "")
    swap = await measured("swap")
    name = f"swap {replay.ENDPOINTS:,} documents under load (ms)"
    table.add_row(name, f"{swap['swap_ms']:.1f}", "", "")
    kept = await measured("snapshot")
    for what, field in ((" (s)", "_s"), (" (s of a core)", "_core_s")):
        name = f"snapshot of {replay.ENDPOINTS:,} documents{what}"
        table.add_row(name, f"{kept['take' + field]:.2f}", "", "")
        name = f"one endpoint as of {replay.SINCE_SNAPSHOT:,} events behind it{what}"
        table.add_row(name, f"{kept['as_of' + field]:.2f}", "", "")


def main() -> None:
    """Measure on a server of our own, with its append-only file on."""
    configure_logs("error")
    table = Table("WHAT", "ROUTESTREAM", "PLAIN REDIS-PY", "RATIO", box=None)
    of_groups = Table("WHAT", "ROUTESTREAM", "AT MOST", "RATIO", box=None)
    with embedded_server() as server:
        anyio.run(_measure, server.url, table)
        anyio.run(_measure_replay, server.url, table)
        anyio.run(_measure_groups, server.url, of_groups)
    of_publishers = Table("WHAT", "", "", box=None)
    if is_traefik_installed():
        anyio.run(publishers.measure, of_publishers)
    of_checker = checker.table_of(checker.SHORT)
    anyio.run(checker.measure, of_checker, checker.SHORT)
    console = Console()
    console.print(f"medians of {ROUNDS} alternating rounds, {os.cpu_count()} cores")
    console.print(table)
    console.print()
    console.print(of_groups)
    console.print()
    console.print(of_checker)
    if of_publishers.row_count:
        console.print()
        console.print(of_publishers)


if __name__ == "__main__":
    main()
