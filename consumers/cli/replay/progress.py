"""The progress: how far a replay is, told to a person or a program while it runs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from consumers.cli.terminal.messages import say
from consumers.cli.terminal.output import OutputForm, print_value
from events.entry.age import span
from events.entry.entry_id import START, EntryId
from events.entry.position import time_of
from projections.replay.folding import Folding
from projections.replay.rebuild import Phase
from projections.replay.rebuild_plan import RebuildPlan

_EVERY_S = 0.5
_QUIET_EVERY_S = 5.0

_HELD_WORK, _WRITTEN_WORK, _COMPARED_WORK = 3, 3, 6
"""Reading an entry counts as 1: medians of both projections, from 100 to 30,000 endpoints."""


class ReplayProgress(msgspec.Struct, frozen=True):
    """How far it is.

    Attributes:
        phase: What it does now.
        done: How much of that is done.
        of: How much there is to do.
        position: The entry that it is at.
        per_second: How many it did in a second so far.
        left_s: Seconds left of the whole at the rate so far; None where none is known yet.
    """

    phase: Phase
    done: int
    of: int
    position: EntryId
    per_second: float
    left_s: float | None


class TimeLeft:
    """How long a rebuild still takes, from how long what is done of it took.

    Work counts in entries that are read: an event that was held back and is folded at the end of
    its phase, a document that is written and one that is compared count as several.

    Args:
        documents: How many documents are expected.
        compares: Whether there is a live generation to compare with.
        clock: Tells seconds; the work begins now.
    """

    def __init__(
        self, documents: int, *, compares: bool, clock: Callable[[], float] = monotonic
    ) -> None:
        self._documents = documents
        self._compared_work = _COMPARED_WORK if compares else 0
        self._clock = clock
        self._began_at = clock()
        self._folded = 0

    def left_s(self, phase: Phase, done: int, of: int, held: int = 0) -> float | None:
        """Return the seconds left after *done* *of* a phase; None where nothing is known yet.

        *held*: how many events are held back, in the fold.
        """
        documents = self._documents if phase == "fold" else of
        if phase == "fold":
            self._folded = max(of, done) + _HELD_WORK * held
        written, compared = documents * _WRITTEN_WORK, documents * self._compared_work
        left = {
            "fold": self._folded - done + written + compared,
            "write": (of - done) * _WRITTEN_WORK + compared,
            "compare": (of - done) * self._compared_work,
            "swap": 0,
        }[phase]
        worked = self._folded + written + compared - left
        if left <= 0:
            return 0.0
        return left * (self._clock() - self._began_at) / worked if worked > 0 else None


class ProgressPrinter:
    """Prints the progress: a bar at a terminal, JSON lines for a program, else a line at times."""

    def __init__(self, output: OutputForm, plan: RebuildPlan, folding: Folding[Any]) -> None:
        self._output = output
        self._partition = plan.partition
        self._folding = folding
        self._time_left = TimeLeft(plan.endpoints, compares=plan.live is not None)
        self._printed_at = monotonic()
        self._began_at: dict[Phase, float] = {}
        self._progress: Progress | None = None
        self._task: TaskID | None = None

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
            ReplayProgress(
                phase=phase,
                done=done,
                of=max(of, done),
                position=position,
                per_second=done / took_s if took_s > 0 else 0.0,
                left_s=self._time_left.left_s(phase, done, of, self._folding.held),
            )
        )

    def _print(self, told: ReplayProgress) -> None:
        if self._output.is_lines:
            print_value(self._output, _row(self._partition, told))
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


class ProgressRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far a rebuild of one partition is."""

    partition: int
    phase: Phase
    done: int
    of: int
    percent: float
    position: EntryId
    time: str | None
    per_second: int
    left_s: float | None


def _row(partition: int, told: ReplayProgress) -> ProgressRow:
    return ProgressRow(
        partition=partition,
        phase=told.phase,
        done=told.done,
        of=told.of,
        percent=round(100 * told.done / told.of, 1) if told.of else 100.0,
        position=told.position,
        time=None if told.position <= START else time_of(told.position).isoformat(),
        per_second=round(told.per_second),
        left_s=None if told.left_s is None else round(told.left_s, 2),
    )


def _in_words(told: ReplayProgress) -> str:
    words = [f"{told.per_second:,.0f}/s"] if told.per_second else []
    if told.position > START:
        words.append(f"at {time_of(told.position):%Y-%m-%d %H:%M:%S} UTC")
    if told.left_s is not None:
        words.append(f"{span(told.left_s)} left")
    return ", ".join(words)
