"""Tracks what one consumer has done and does now, for metrics, liveness and the log."""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter
from time import monotonic, time
from typing import Literal

import msgspec

from consumers.runtime.outcome import DeadLetter, Delivery, Handled, Outcome, Retry, Skipped
from events.structured_logger import structured_logger

BATCH_SIZE_BOUNDS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)
APPLY_TIME_BOUNDS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)

End = Literal["handled", "skipped", "retried", "dead"]
"""How an entry's try ended, in the words of the metrics."""

State = Literal["starting", "consuming", "waiting", "interrupted"]
"""What a consumer does. Waiting: another one owns the partition, or all entries that it may hold
wait for their next try. Interrupted: the server or the group went away, and it tries again."""

_deliveries_of = attrgetter("deliveries")

_log = structured_logger(__name__)


class EntryCounts(msgspec.Struct):
    """How many entries ended in which way, since the process began.

    Attributes:
        handled: Their work was done, and they were acknowledged.
        skipped: They needed no work, and were acknowledged.
        failed: Tries that did not succeed; each counts as retried or dead, too.
        retried: They stay pending until their next try.
        dead: They were moved to the dead letters.
        claimed: They had been idle with a consumer, and were taken over.
        conflicts: Documents folded again, because another projector had written them first.
    """

    handled: int = 0
    skipped: int = 0
    failed: int = 0
    retried: int = 0
    dead: int = 0
    claimed: int = 0
    conflicts: int = 0


class Distribution:
    """A histogram: the number of values up to each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count *value*."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulated(self) -> list[tuple[str, int]]:
        """Return each bound, the last being `+Inf`, and the number of values up to it."""
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        sums = (sum(self._counts[: place + 1]) for place in range(len(names)))
        return list(zip(names, sums, strict=True))


class ConsumerProgress:
    """The progress of one consumer of a partition; `Consumer` keeps it.

    Attributes:
        counts: Entries by how they ended.
        batch_sizes: Entries of each batch.
        apply_times_s: How long each apply took.
        state: What the consumer does.
        problem: What last interrupted it, "" if nothing did.
        active_at: When a read was last answered or a batch settled, by the monotonic clock.
        batch: The deliveries being processed; empty between two batches.
        is_building: Whether a read model is being built, which may take long.
        findings: What was found in the entries, by its name; only some groups look for something.
    """

    def __init__(self, group: str, partition: int, consumer: str) -> None:
        self.group = group
        self.partition = partition
        self.consumer = consumer
        self.counts = EntryCounts()
        self.batch_sizes = Distribution(BATCH_SIZE_BOUNDS)
        self.apply_times_s = Distribution(APPLY_TIME_BOUNDS_S)
        self.state: State = "starting"
        self.problem = ""
        self.active_at = monotonic()
        self.batch: Sequence[Delivery] = ()
        self.is_building = False
        self.findings: Counter[str] = Counter()
        self._began_at = 0.0
        self._claimed = 0
        self._conflicts_before = 0
        self._applied_before_s = 0.0

    def follow(self) -> None:
        """Have the current task, and the tasks it starts, note their progress here."""
        _current.set(self)

    def consuming(self) -> None:
        """Note that it has begun to consume."""
        self._become("consuming")

    def waiting(self) -> None:
        """Note that it can do nothing until something else ends."""
        self._become("waiting")

    def interrupted(self, error: object) -> None:
        """Note that *error* interrupted its work."""
        self.problem = str(error)
        self.batch = ()
        self._become("interrupted")

    def read(self) -> None:
        """Note that a read was answered, with entries or with none."""
        self.active_at = monotonic()

    def claimed(self, batch: Sequence[Delivery]) -> None:
        """Note that *batch*, which is processed next, was claimed as idle."""
        self.counts.claimed += len(batch)
        self._claimed = len(batch)

    def ended(self, end: End, entries: int = 1) -> None:
        """Note how the tries of *entries* entries ended that are not part of a batch."""
        self.active_at = monotonic()
        setattr(self.counts, end, getattr(self.counts, end) + entries)
        if end in {"retried", "dead"}:
            self.counts.failed += entries

    def processing(self, batch: Sequence[Delivery]) -> None:
        """Note that the work on *batch* begins."""
        self.batch = batch
        self._began_at = monotonic()
        self._conflicts_before = self.counts.conflicts
        self._applied_before_s = self.apply_times_s.total

    def settled(self, ended: Sequence[tuple[Delivery, Outcome]], dead: int) -> None:
        """Note that the whole batch has ended, *dead* of its entries as dead letters.

        *ended* holds the deliveries that the processor had not acknowledged itself.
        """
        batch, claimed = self.batch, self._claimed
        self.batch, self._claimed = (), 0
        self.active_at = monotonic()
        by_kind = [type(outcome) for _, outcome in ended]
        numbers = {
            "handled": len(batch) - len(ended) + by_kind.count(Handled),
            "skipped": by_kind.count(Skipped),
            "retried": by_kind.count(Retry),
            "dead": dead,
        }
        counts = self.counts
        counts.handled += numbers["handled"]
        counts.skipped += numbers["skipped"]
        counts.retried += numbers["retried"]
        counts.dead += dead
        counts.failed += numbers["retried"] + by_kind.count(DeadLetter)
        self.batch_sizes.add(len(batch))
        self._log_batch(
            batch, {**numbers, "left": len(batch) - sum(numbers.values()), "claimed": claimed}
        )

    def _become(self, state: State) -> None:
        self.state = state
        self.active_at = monotonic() if state != "interrupted" else self.active_at

    def _log_batch(self, batch: Sequence[Delivery], numbers: dict[str, int]) -> None:
        """Log one line for the batch, at info where something is wrong that a person may act on.

        Its keys are always the same.
        """
        is_well = not (numbers["retried"] or numbers["dead"] or numbers["claimed"])
        if is_well and not _log.is_enabled_for(logging.DEBUG):
            return
        conflicts = self.counts.conflicts - self._conflicts_before
        deliveries_max = max(map(_deliveries_of, batch))
        first = batch[0].entry_id
        write = _log.debug if is_well else _log.info
        write(
            "batch_settled",
            group=self.group,
            partition=self.partition,
            consumer=self.consumer,
            entries=len(batch),
            first=str(first),
            last=str(batch[-1].entry_id),
            **numbers,
            conflicts=conflicts,
            deliveries_max=deliveries_max,
            oldest_age_s=round(max(0.0, time() - first.ms / 1_000), 3),
            apply_ms=round((self.apply_times_s.total - self._applied_before_s) * 1_000, 1),
            ms=round((monotonic() - self._began_at) * 1_000, 1),
        )


_current: ContextVar[ConsumerProgress | None] = ContextVar("progress", default=None)


@contextmanager
def applying() -> Iterator[None]:
    """Note how long the block, one apply, took; outside a consumer nothing is noted."""
    began_at = monotonic()
    yield
    if (progress := _current.get()) is not None:
        progress.apply_times_s.add(monotonic() - began_at)


@contextmanager
def building() -> Iterator[None]:
    """Note that the block, the build of a read model, may take long."""
    progress = _current.get()
    if progress is None:
        yield
        return
    progress.is_building = True
    try:
        yield
        progress.active_at = monotonic()
    finally:
        progress.is_building = False


@contextmanager
def waiting() -> Iterator[None]:
    """Note that the block waits until entries in hand have ended."""
    progress = _current.get()
    if progress is not None:
        progress.waiting()
    yield
    if progress is not None:
        progress.consuming()


def note_read(entries: int, *, claimed: bool = False) -> None:
    """Note that *entries* entries were read or, if *claimed*, taken over."""
    if (progress := _current.get()) is not None:
        progress.read()
        if claimed:
            progress.counts.claimed += entries
        if entries:
            progress.batch_sizes.add(entries)


def note_ended(end: End, entries: int = 1) -> None:
    """Note how entries ended that were tried one by one."""
    if entries and (progress := _current.get()) is not None:
        progress.ended(end, entries)


def note_finding(finding: str) -> None:
    """Note what was found in an entry, by the name that its metric has."""
    if (progress := _current.get()) is not None:
        progress.findings[finding] += 1


def note_conflicts(conflicts: int) -> None:
    """Note *conflicts* documents that another projector had written first."""
    if conflicts and (progress := _current.get()) is not None:
        progress.counts.conflicts += conflicts
