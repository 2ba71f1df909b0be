"""Prints the progress of a replay while it runs, for a person or a program."""

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
"""Work relative to reading an entry: medians of both projections, 100 to 30,000 endpoints."""


class ReplayProgress(msgspec.Struct, frozen=True):
    """The progress of a replay.

    Attributes:
        phase: The present phase.
        done: Finished work of that phase.
        of: All work of that phase.
        position: The entry that it has reached.
        per_second: The mean rate of that phase.
        left_s: Seconds left of the whole replay at the rate so far; None while unknown.
    """

    phase: Phase
    done: int
    of: int
    position: EntryId
    per_second: float
    left_s: float | None


class TimeLeft:
    """Estimates how long a rebuild still takes, from the time and work so far.

    The unit of work is reading one entry. Folding an event that was held back, writing a document
    and comparing one count as several units each.

    Args:
        documents: How many documents are expected.
        compares: Whether there is a live generation to compare with.
        clock: Returns seconds; the work begins at construction.
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
        """Return the seconds left after *done* *of* a phase; None while unknown.

        *held*: how many events are held back, in the phase "fold".
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
    """Prints the progress: a bar on a terminal, JSON lines for a program, else lines of text."""

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
            TextColumn("{task.fields[words]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as self._progress:
            yield

    def __call__(self, phase: Phase, done: int, of: int, position: EntryId) -> None:
        """Take the progress, and print it at intervals."""
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

    def _print(self, progress: ReplayProgress) -> None:
        if self._output.is_lines:
            print_value(self._output, _row(self._partition, progress))
            return
        if self._progress is None:
            share = f"{progress.done:,} of {progress.of:,}" if progress.of else ""
            words = ", ".join(part for part in (share, _in_words(progress)) if part)
            say(f"{progress.phase}: {words}" if words else progress.phase)
            return
        if self._task is None:
            self._task = self._progress.add_task(progress.phase, words="")
        self._progress.update(
            self._task,
            description=progress.phase,
            completed=progress.done,
            total=progress.of or 1,
            words=_in_words(progress),
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


def _row(partition: int, progress: ReplayProgress) -> ProgressRow:
    return ProgressRow(
        partition=partition,
        phase=progress.phase,
        done=progress.done,
        of=progress.of,
        percent=round(100 * progress.done / progress.of, 1) if progress.of else 100.0,
        position=progress.position,
        time=None if progress.position <= START else time_of(progress.position).isoformat(),
        per_second=round(progress.per_second),
        left_s=None if progress.left_s is None else round(progress.left_s, 2),
    )


def _in_words(progress: ReplayProgress) -> str:
    words = [f"{progress.per_second:,.0f}/s"] if progress.per_second else []
    if progress.position > START:
        words.append(f"at {time_of(progress.position):%Y-%m-%d %H:%M:%S} UTC")
    if progress.left_s is not None:
        words.append(f"{span(progress.left_s)} left")
    return ", ".join(words)
