"""The progress: how far a replay is, told to a person or a program while it runs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from events.entry_id import START, EntryId
from events.position import time_of
from events.terminal.age import span
from events.terminal.output import OutputForm, print_value
from projections.replay.folding import Folding
from projections.replay.plan import Pace, Plan, distinct
from projections.replay.rebuild import Phase

_EVERY_S = 0.5
_QUIET_EVERY_S = 5.0
_PLANNED_SHARE = 0.05
"""Of all entries: so many count with the planned pace."""


class Told(msgspec.Struct, frozen=True):
    """How far it is.

    Attributes:
        phase: What it does now.
        done: How much of that is done.
        of: How much there is to do.
        position: The entry that it is at.
        per_second: How many it did in a second so far.
        left_s: Seconds that are left of the whole, about; None where nothing is known yet.
    """

    phase: Phase
    done: int
    of: int
    position: EntryId
    per_second: float
    left_s: float | None


class Eta:
    """How long the fold still takes: what is held back is counted in, for it comes at the end.

    The pace is that of the later half of what is done, for memory gets colder and a machine busier;
    at first the planned pace counts, too, as much as what was measured of one entry in twenty.
    *clock* tells seconds.
    """

    def __init__(self, plan: Plan, clock: Callable[[], float] = monotonic) -> None:
        self._plan = plan
        self._clock = clock
        self._seen: list[tuple[int, float]] = [(0, clock())]
        self._half = 0

    def left_s(self, done: int, held: int) -> float:
        """Return the seconds left after *done* entries, of which *held* are held back."""
        plan, now = self._plan, self._clock()
        if not done:
            return plan.seconds
        self._seen.append((done, now))
        while self._seen[self._half + 1][0] <= done / 2:
            self._half += 1
        since, at = self._seen[self._half]
        total = max(plan.entries, done)
        measured, planned = (now - at) / (done - since), total * _PLANNED_SHARE
        take_s = (measured * done + plan.pace.take_s * planned) / (done + planned)
        return Pace(take_s, plan.pace.fold_s).seconds(total - done, distinct(done, held, total))


class ProgressPrinter:
    """Prints the progress: a bar at a terminal, JSON lines for a program, else a line at times."""

    def __init__(self, output: OutputForm, plan: Plan) -> None:
        self._output = output
        self._plan = plan
        self._eta = Eta(plan)
        self._printed_at = monotonic()
        self._began_at: dict[Phase, float] = {}
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self.folding: Folding[Any] | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the progress within the block."""
        if self._output == "jsonl" or not sys.stderr.isatty():
            yield
            return
        columns = (
            TextColumn("{task.description:8}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as self._progress:
            yield

    def __call__(self, phase: Phase, done: int, of: int, position: EntryId) -> None:
        """Hear of the progress, and print it now and then."""
        now = monotonic()
        began_at = self._began_at.setdefault(phase, now)
        is_first = began_at == now
        every_s = _EVERY_S if self._output == "jsonl" or self._progress else _QUIET_EVERY_S
        if not is_first and now - self._printed_at < every_s:
            return
        self._printed_at = now
        took_s = now - began_at
        self._print(
            Told(
                phase=phase,
                done=done,
                of=max(of, done),
                position=position,
                per_second=done / took_s if took_s > 0 else 0.0,
                left_s=self._left_s(phase),
            )
        )

    def _left_s(self, phase: Phase) -> float | None:
        if phase == "fold" and self.folding is not None:
            return self._eta.left_s(self.folding.entries, self.folding.held)
        return None

    def _print(self, told: Told) -> None:
        if self._output == "jsonl":
            print_value("jsonl", as_json(self._plan.partition, told))
            return
        if self._progress is None:
            share = f"{told.done:,} of {told.of:,}" if told.of else ""
            words = ", ".join(part for part in (share, _in_words(told)) if part)
            click.echo(f"{told.phase}: {words}" if words else told.phase, err=True)
            return
        if self._task is None:
            self._task = self._progress.add_task(told.phase, told="")
        self._progress.update(
            self._task,
            description=told.phase,
            completed=told.done,
            total=told.of or 1,
            told=_in_words(told),
        )


def as_json(partition: int, told: Told) -> dict[str, object]:
    """Return it for a program."""
    return {
        "partition": partition,
        "phase": told.phase,
        "done": told.done,
        "of": told.of,
        "percent": round(100 * told.done / told.of, 1) if told.of else 100.0,
        "position": str(told.position),
        "time": None if told.position <= START else time_of(told.position).isoformat(),
        "per_second": round(told.per_second),
        "left_s": None if told.left_s is None else round(told.left_s, 2),
    }


def _in_words(told: Told) -> str:
    words = [f"{told.per_second:,.0f}/s"] if told.per_second else []
    if told.position > START:
        words.append(f"at {time_of(told.position):%Y-%m-%d %H:%M:%S} UTC")
    if told.left_s is not None:
        words.append(f"{span(told.left_s)} left")
    return ", ".join(words)
