"""Defines what a health checker exposes to Prometheus of its probes."""

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.metrics_core import Metric as Family

from consumers.monitoring.metric import Metric
from producers.checker.probe_tally import DURATION_BOUNDS_S, ProbeTally

_PROBES = Metric(
    "probes",
    "counter",
    "Probes of routes by their kind, and by how they ended: success, or the cause of the failure.",
    ("kind", "result"),
)
_DURATION = Metric(
    "probe_duration_seconds", "histogram", "How long probes of routes took.", ("kind",)
)

PROBE_METRICS = (_PROBES, _DURATION)


def of_probes(tally: ProbeTally) -> Iterable[Family]:
    """Yield how the probes of this process ended, and how long they took."""
    probes = _PROBES.family()
    for (kind, cause), count in sorted(tally.ended.items(), key=str):
        labels: dict[str, str] = {"kind": kind, "result": cause or "success"}
        probes.add_sample(_PROBES.full_name, labels, count)
    yield probes
    durations = _DURATION.family()
    names = [*(str(bound) for bound in DURATION_BOUNDS_S), "+Inf"]
    for kind, counts in tally.duration_counts.items():
        for name, count in zip(names, accumulate(counts), strict=True):
            durations.add_sample(f"{_DURATION.full_name}_bucket", {"kind": kind, "le": name}, count)
        durations.add_sample(f"{_DURATION.full_name}_count", {"kind": kind}, sum(counts))
        total_s = tally.duration_sums_s[kind]
        durations.add_sample(f"{_DURATION.full_name}_sum", {"kind": kind}, total_s)
    yield durations
