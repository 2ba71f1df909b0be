"""Writes what a run found into `docs/performance.md`, between its marks; the rest of it stays."""

import re
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.program import PEERS, ROOT
from benchmarks.report.goals import GOALS, Goal
from benchmarks.report.run import LATEST, Run, read_run, shown

PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"

BEGIN, END = "<!-- from benchmarks/results -->", "<!-- end -->"

_BUSY = (
    "More processes wanted a core than there were: what the clock says tells little, and rates and"
    " waiting times are those of a crowd. Ratios of CPU time tell more."
)

_UNITS = {
    "per_second": "/s",
    "client_us": " µs of the process",
    "server_us": " µs of the server",
    "memory_mb": " MB",
}


def page(text: str, run: Run) -> str:
    """Return the page *text* with the parts anew that a run gives."""
    parts = iter((_heading(run), _goals(run), _table(run)))
    pattern = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n\n{next(parts)}\n\n{END}", text)


def _heading(run: Run) -> str:
    """Say where and when."""
    machine = run.machine
    short = "A short run, which tells little: a fortieth of the events, small tables, one round."
    lines = [
        *([short, ""] if run.is_short else []),
        f"Measured {run.began_at:%Y-%m-%d %H:%M} UTC at {run.commit} in {run.took_s / 60:.0f} min,",
        f"on {machine.cores} cores of {machine.cpu};",
        f"load {machine.load_before:.1f} before, {machine.load_after:.1f} after.",
        "",
        f"A loop that is always the same took {shown(machine.loop_ms, ' ms')} before each round:",
        "what varies there is the machine, not what is measured.",
        *([_BUSY] if machine.load_before > machine.cores else []),
        "",
        "; ".join(f"{name} {version}" for name, version in run.versions.items()) + ".",
        *(f"\nNot measured: {failure}." for failure in run.failed),
    ]
    return "\n".join(lines)


def _goals(run: Run) -> str:
    rows = [
        "| what | asked | reached | | by CPU time | what bounds it now |",
        "|---|---|---|---|---|---|",
    ]
    before = ""
    for goal in GOALS:
        what = "" if goal.row == before else goal.row
        before = goal.row
        reached, verdict = _verdict(goal, run)
        cpu = shown(by_cpu) if (by_cpu := goal.by_cpu(run)) else ""
        cells = (what, goal.asked(), reached, verdict, cpu, goal.bounded_by)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _verdict(goal: Goal, run: Run) -> tuple[str, str]:
    values = goal.reached(run)
    if not values:
        return "not measured", ""
    missed = goal.missed_by(median(values))
    unit = "" if goal.beside else goal.unit.partition(",")[0]
    verdict = f"missed by {missed:.0%}" if missed else "reached"
    is_busy = run.machine.load_before > run.machine.cores
    return shown(values, unit), f"busy machine: {verdict}" if is_busy else verdict


def _table(run: Run) -> str:
    """Show each figure of each side."""
    rows = ["| case | side | figures: median (range of the rounds) |", "|---|---|---|"]
    for case, sides in run.cases.items():
        for place, (side, figures) in enumerate(sides.items()):
            told = "; ".join(
                f"{shown(values)}{_UNITS[name]}" if name in _UNITS else f"{name} {shown(values)}"
                for name, values in figures.items()
            )
            rows.append(f"| {'' if place else case} | {side} | {told} |")
    return "\n".join(rows)


def main(source: str = str(LATEST)) -> None:
    """Write the page, and its plots where the peers' environment is."""
    run = read_run(Path(source))
    PAGE.write_text(page(PAGE.read_text(), run))
    if PEERS.exists():
        plot = [str(PEERS), "-m", "benchmarks.report.plots", source, str(PLOTS)]
        subprocess.run(plot, cwd=ROOT, check=True)  # noqa: S603 - our own command
    else:
        print("no plots: `make bench-peers` makes what draws them", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
