"""The progress: how far a replay is, told to a person or a program while it runs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from consumers.cli.terminal.output import OutputForm, print_value
from consumers.cli.terminal.talk import say
from events.entry.age import span
from events.entry.entry_id import START, EntryId
from events.entry.position import time_of
from projections.replay.folding import Folding
from projections.replay.plan import Plan, distinct
from projections.replay.rebuild import Phase
from projections.replay.sample import Pace

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
    """How long a rebuild still takes: the fold, what is held back until its end, the documents.

    The pace is that of the later half of what is done, for memory gets colder and a machine busier;
    at first the planned pace counts, too, as much as what was measured of one entry in twenty.
    *clock* tells seconds.
    """

    def __init__(self, plan: Plan, clock: Callable[[], float] = monotonic) -> None:
        self._plan = plan
        self._clock = clock
        self._seen: list[tuple[int, float]] = [(0, clock())]
        self._half = 0
        self._phase: Phase = "fold"

    def left_s(self, done: int, held: int) -> float:
        """Return the seconds left after *done* entries, of which *held* are held back."""
        plan = self._plan
        if not done:
            return plan.seconds
        total = max(plan.entries, done)
        planned = total * _PLANNED_SHARE
        take_s = (self._measured_s(done) * done + plan.pace.take_s * planned) / (done + planned)
        to_fold = plan.held if done < plan.sample else distinct(done, held, total)
        fold_left_s = Pace(take_s, plan.pace.fold_s).folding_s(total - done, to_fold)
        return fold_left_s + plan.pace.documents_s(plan.endpoints)

    def left_of_documents_s(self, phase: Phase, done: int, of: int) -> float:
        """Return the seconds left after *done* *of* all documents in a phase behind the fold."""
        if phase != self._phase:
            self._phase, self._seen, self._half = phase, [(0, self._clock())], 0
        pace = self._plan.pace
        planned = {"write": pace.write_s, "compare": pace.compare_s}.get(phase, 0.0)
        each_s = self._measured_s(done) if done else planned
        return max(0, of - done) * each_s + (of * pace.compare_s if phase == "write" else 0.0)

    def _measured_s(self, done: int) -> float:
        """Return the seconds that one took, of the later half of those done in this phase."""
        self._seen.append((done, self._clock()))
        while self._seen[self._half + 1][0] <= done / 2:
            self._half += 1
        since, at = self._seen[self._half]
        return (self._clock() - at) / (done - since)


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
        if self._output.is_lines or not sys.stderr.isatty():
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
        every_s = _EVERY_S if self._output.is_lines or self._progress else _QUIET_EVERY_S
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
                left_s=self._left_s(phase, done, of),
            )
        )

    def _left_s(self, phase: Phase, done: int, of: int) -> float | None:
        if phase != "fold":
            return self._eta.left_of_documents_s(phase, done, of)
        if self.folding is not None:
            return self._eta.left_s(self.folding.entries, self.folding.held)
        return None

    def _print(self, told: Told) -> None:
        if self._output.is_lines:
            print_value(self._output, as_json(self._plan.partition, told))
            return
        if self._progress is None:
            share = f"{told.done:,} of {told.of:,}" if told.of else ""
            words = ", ".join(part for part in (share, _in_words(told)) if part)
            say(f"{told.phase}: {words}" if words else told.phase)
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
