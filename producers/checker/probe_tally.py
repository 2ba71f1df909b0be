"""Counts the probes of one process, for its metrics."""

from bisect import bisect_left
from collections import Counter
from typing import Literal

from events.catalogue.health_check import CheckKind
from producers.checker.probe_result import ProbeCause, ProbeResult

ProbeKind = CheckKind | Literal["deep"]
"""What a probe did: as its health check says, or it asked a model for a token."""

DURATION_BOUNDS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class ProbeTally:
    """How probes ended, and how long they took, since the process began.

    Attributes:
        ended: Probes by their kind and the cause of their failure, None for a success.
        duration_counts: For each kind, probes up to each of `DURATION_BOUNDS_S`, and those above.
        duration_sums_s: For each kind, seconds that its probes took together.
    """

    def __init__(self) -> None:
        self.ended: Counter[tuple[ProbeKind, ProbeCause | None]] = Counter()
        self.duration_counts: dict[ProbeKind, list[int]] = {}
        self.duration_sums_s: dict[ProbeKind, float] = {}

    def count(self, kind: ProbeKind, result: ProbeResult) -> None:
        """Count one probe."""
        self.ended[kind, result.cause] += 1
        counts = self.duration_counts.setdefault(kind, [0] * (len(DURATION_BOUNDS_S) + 1))
        counts[bisect_left(DURATION_BOUNDS_S, result.duration_s)] += 1
        self.duration_sums_s[kind] = self.duration_sums_s.get(kind, 0.0) + result.duration_s
