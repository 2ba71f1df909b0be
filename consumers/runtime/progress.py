"""Progress: what one consumer has done and does now, told as metrics, liveness and log line."""

import logging
from bisect import bisect_left
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

TINY_BATCH = 10
"""A batch of fewer entries that all went well at their first try is told at debug: on a quiet log
each event is a batch of its own, and its line would say nothing that the metrics do not."""

End = Literal["handled", "skipped", "retried", "dead"]
"""How an entry's try ended, in the words of the metrics."""

State = Literal["starting", "consuming", "waiting", "interrupted"]
"""What a consumer does. Waiting: another one has the partition, or all that it may have in hand
waits for its next try. Interrupted: the server or the group went away, and it tries again."""

_deliveries_of = attrgetter("deliveries")

_log = structured_logger(__name__)


class EntryCounts(msgspec.Struct):
    """How many entries came to which end, since the process began.

    Attributes:
        handled: The work was done, and they were acknowledged.
        skipped: There was no work for them, and they were acknowledged.
        failed: A try did not succeed; each ends as retried or dead.
        retried: They stay pending until their next try.
        dead: They were moved to the dead letters.
        claimed: They had been idle with a consumer, and were taken over.
        conflicts: Documents folded anew, because another projector had written them first.
    """

    handled: int = 0
    skipped: int = 0
    failed: int = 0
    retried: int = 0
    dead: int = 0
    claimed: int = 0
    conflicts: int = 0


class Distribution:
    """How many values there were up to each of some bounds, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count *value*."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulated(self) -> list[tuple[str, int]]:
        """Return each bound, the last of them `+Inf`, and how many values do not exceed it."""
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
        problem: What last interrupted it, "" for nothing.
        active_at: When a read was last answered or a batch settled, by the monotonic clock.
        batch: What is being processed; empty in between.
        is_building: Whether a read model is being built, which takes its time.
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
        self._began_at = 0.0
        self._claimed = 0
        self._conflicts_before = 0
        self._applied_before_s = 0.0

    def follow(self) -> None:
        """Let what runs in this task, and in those it starts, be noted here."""
        _current.set(self)

    def consuming(self) -> None:
        """Note that it has begun to consume."""
        self._become("consuming")

    def waiting(self) -> None:
        """Note that it can do nothing before something else ends."""
        self._become("waiting")

    def interrupted(self, error: object) -> None:
        """Note that *error* ended what it did."""
        self.problem = str(error)
        self.batch = ()
        self._become("interrupted")

    def read(self) -> None:
        """Note that a read was answered, with entries or with none."""
        self.active_at = monotonic()

    def claimed(self, batch: Sequence[Delivery]) -> None:
        """Note that *batch*, which comes next, had been idle with a consumer."""
        self.counts.claimed += len(batch)
        self._claimed = len(batch)

    def ended(self, end: End, entries: int = 1) -> None:
        """Note how the try of an entry, or of several, ended that is no part of a batch."""
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
        """Note that all of the batch has come to an end, *dead* entries among the dead letters.

        *ended* are those that the processor had not acknowledged itself.
        """
        batch, claimed = self.batch, self._claimed
        self.batch, self._claimed = (), 0
        self.active_at = monotonic()
        by_kind = [type(outcome) for _, outcome in ended]
        told = {
            "handled": len(batch) - len(ended) + by_kind.count(Handled),
            "skipped": by_kind.count(Skipped),
            "retried": by_kind.count(Retry),
            "dead": dead,
        }
        counts = self.counts
        counts.handled += told["handled"]
        counts.skipped += told["skipped"]
        counts.retried += told["retried"]
        counts.dead += dead
        counts.failed += told["retried"] + by_kind.count(DeadLetter)
        self.batch_sizes.add(len(batch))
        self._tell(batch, {**told, "left": len(batch) - sum(told.values()), "claimed": claimed})

    def _become(self, state: State) -> None:
        self.state = state
        self.active_at = monotonic() if state != "interrupted" else self.active_at

    def _tell(self, batch: Sequence[Delivery], told: dict[str, int]) -> None:
        """Write the one line of a batch; its keys are always the same."""
        conflicts = self.counts.conflicts - self._conflicts_before
        deliveries_max = max(map(_deliveries_of, batch))
        smooth = not any((told["retried"], told["dead"], told["left"], told["claimed"], conflicts))
        is_tiny = len(batch) < TINY_BATCH and smooth and deliveries_max == 1
        if is_tiny and not _log.is_enabled_for(logging.DEBUG):
            return
        first = batch[0].entry_id
        tell = _log.debug if is_tiny else _log.info
        tell(
            "batch_settled",
            group=self.group,
            partition=self.partition,
            consumer=self.consumer,
            entries=len(batch),
            first=str(first),
            last=str(batch[-1].entry_id),
            **told,
            conflicts=conflicts,
            deliveries_max=deliveries_max,
            oldest_age_s=round(max(0.0, time() - first.ms / 1_000), 3),
            apply_ms=round((self.apply_times_s.total - self._applied_before_s) * 1_000, 1),
            ms=round((monotonic() - self._began_at) * 1_000, 1),
        )


_current: ContextVar[ConsumerProgress | None] = ContextVar("progress", default=None)


@contextmanager
def applying() -> Iterator[None]:
    """Note how long the block, one apply, took; outside of a consumer nothing is noted."""
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
    """Note that so many entries were read or, if *claimed*, taken over."""
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


def note_conflicts(conflicts: int) -> None:
    """Note documents that another projector had written first."""
    if conflicts and (progress := _current.get()) is not None:
        progress.counts.conflicts += conflicts
