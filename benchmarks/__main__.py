"""Measure everything side by side, and keep it: `make bench`, or `make bench-short`.

The rounds of the sides alternate, each side on a server of its own with its append-only file on.
No time is asserted; a program that fails does, in the end.
"""

import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter

import anyio
import click
from redis import Redis
from rich.console import Console

from benchmarks.cases import FULL, SHORT, Amount, Case, Joint, cases, measure_round
from benchmarks.program import PEERS, FailedProgramError
from benchmarks.report.run import (
    LATEST,
    Machine,
    Rounds,
    Run,
    commit,
    cpu_name,
    load,
    loop_ms,
    now,
    shown,
    versions,
    write_run,
)
from benchmarks.warm_projection import tree_before
from consumers.processes.embedded import embedded_server
from consumers.processes.logs import configure_logs

_console = Console(highlight=False)


class Measurement:
    """What has been measured so far."""

    def __init__(self) -> None:
        self.cases: dict[str, dict[str, Rounds]] = {}
        self.failed: list[str] = []
        self.loop_ms: list[float] = []

    async def measure(self, case: Case | Joint, rounds: int, timeout_s: float) -> None:
        """Measure all rounds of a case; what fails is told, and leaves the others."""
        began_at = perf_counter()
        for number in range(rounds):
            self.loop_ms.append(loop_ms())
            try:
                sides = await measure_round(case, number, timeout_s)
            except FailedProgramError as error:
                self.failed.append(f"{case.name}: {error}")
                _console.print(f"{case.name}: {error}", style="red")
                continue
            for side, figures in sides.items():
                kept = self.cases.setdefault(case.name, {}).setdefault(side, {})
                for figure, value in figures.items():
                    kept.setdefault(figure, []).append(value)
        _console.print(f"[bold]{case.name}[/]  {perf_counter() - began_at:.0f} s")
        for side, kept in self.cases.get(case.name, {}).items():
            told = ", ".join(f"{figure} {shown(values)}" for figure, values in kept.items())
            _console.print(f"  {side}: {told}", soft_wrap=True)


async def _measure(amount: Amount, rounds: int | None, only: tuple[str, ...]) -> Measurement:
    measurement = Measurement()
    async with AsyncExitStack() as held:
        before: Path | None = None
        try:
            before = await held.enter_async_context(tree_before())
        except FailedProgramError as error:
            _console.print(f"{error}: nothing is measured beside it")
        if not PEERS.exists():
            _console.print("no .venv-peers here: `make bench-peers` makes it")
        for case in cases(amount, before, with_peers=PEERS.exists()):
            if not only or any(case.name.startswith(beginning) for beginning in only):
                many = min(case.rounds, rounds or case.rounds)
                await measurement.measure(case, many, amount.timeout_s)
    return measurement


@click.command()
@click.option("--short", is_flag=True, help="A small amount of each, in under a minute.")
@click.option("--rounds", type=click.IntRange(1, 100), help="At most so many rounds of each.")
@click.option("--only", multiple=True, help="The cases whose names begin so.")
@click.option("--to", type=click.Path(path_type=Path), default=LATEST, help="The JSON file.")
def main(*, short: bool, rounds: int | None, only: tuple[str, ...], to: Path) -> None:
    """Measure, print and keep the results."""
    configure_logs("error")
    began_at, since, load_before = now(), perf_counter(), load()
    with embedded_server() as server, Redis.from_url(server.url) as client:
        server_version = str(client.info("server")["redis_version"])
    measured = anyio.run(_measure, SHORT if short else FULL, rounds, only)
    machine = Machine(
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        system=sys.platform,
        load_before=load_before,
        load_after=load(),
        loop_ms=measured.loop_ms,
    )
    run = Run(
        is_short=short,
        began_at=began_at,
        took_s=perf_counter() - since,
        commit=commit(),
        machine=machine,
        versions=versions(server_version),
        cases=measured.cases,
        failed=measured.failed,
    )
    write_run(run, to)
    _console.print(f"{run.took_s:.0f} s, load {load_before:.1f} to {machine.load_after:.1f}; {to}")
    sys.exit(1 if measured.failed else 0)


if __name__ == "__main__":
    main()
