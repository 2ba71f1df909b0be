"""Draws a run of the benchmarks with matplotlib, in the peers' environment: no import of ours."""

import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import msgspec
from matplotlib import pyplot as plt

_OURS, _OTHERS = "#1f6feb", "#9aa4b2"
_SAME_EACH_TIME = {"svg.hashsalt": "routestream", "svg.fonttype": "none", "font.size": 9}

Cases = dict[str, dict[str, dict[str, list[float]]]]


def growth(cases: Cases) -> Any:  # noqa: ANN401 - matplotlib publishes few types
    """Draw what an event costs, by the entries in the log and by the endpoints."""
    figure, (by_length, by_table) = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    lengths = cases.get("growth", {})
    _costs(by_length, [(int(length), one) for length, one in lengths.items()], "routestream", _OURS)
    by_length.set_xlabel("entries in the log (1,000 endpoints)")
    by_length.set_ylabel("CPU time of an event (µs)")
    tables = {
        int(name.removeprefix("project ").replace(",", "")): sides
        for name, sides in cases.items()
        if name.startswith("project ")
    }
    for side, colour in (("6d327f0", _OTHERS), ("routestream", _OURS)):
        found = [(size, sides[side]) for size, sides in tables.items() if side in sides]
        _costs(by_table, found, side, colour)
    by_table.set_xlabel("endpoints of 4 routes")
    by_table.legend(frameon=False)
    return figure


def _costs(
    axes: Any,  # noqa: ANN401 - see growth
    found: list[tuple[int, dict[str, list[float]]]],
    label: str,
    colour: str,
) -> None:
    points = sorted(
        (size, median(one["client_us"]) + median(one["server_us"])) for size, one in found
    )
    axes.plot([x for x, _ in points], [y for _, y in points], "o-", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)


def rates(cases: Cases) -> Any:  # noqa: ANN401 - see growth
    """Draw events a second of each side, with the range of the rounds."""
    wanted = [name for name in ("append", "project 1,000", "handler", "webhook") if name in cases]
    figure, all_axes = plt.subplots(1, len(wanted), figsize=(3.4 * len(wanted), 2.8))
    for axes, name in zip(all_axes, wanted, strict=True):
        sides = {side: one["per_second"] for side, one in cases[name].items()}
        middles = [median(values) for values in sides.values()]
        errors = [
            [middle - min(values) for middle, values in zip(middles, sides.values(), strict=True)],
            [max(values) - middle for middle, values in zip(middles, sides.values(), strict=True)],
        ]
        colours = [_OURS if side.startswith("routestream") else _OTHERS for side in sides]
        axes.barh(list(sides), middles, xerr=errors, color=colours, error_kw={"lw": 0.8})
        axes.invert_yaxis()
        axes.set_title(f"{name}, events/s")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(source: str, folder: str) -> None:
    """Write the plots of the run in *source* as SVG files into *folder*."""
    cases = msgspec.json.decode(Path(source).read_bytes())["cases"]
    Path(folder).mkdir(exist_ok=True)
    with mpl.rc_context(_SAME_EACH_TIME):
        for draw in (growth, rates):
            figure = draw(cases)
            figure.tight_layout()
            figure.savefig(Path(folder) / f"{draw.__name__}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
