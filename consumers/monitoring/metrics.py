"""Defines the metrics that a process exposes to Prometheus, each with labels and help."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from prometheus_client.metrics_core import Metric as Family

from consumers.groups.backlog import Backlog
from consumers.monitoring.exposed_keeper import KEEPER_METRICS
from consumers.monitoring.metric import OF_GROUP, Metric
from consumers.monitoring.probe_metrics import PROBE_METRICS
from consumers.monitoring.publisher_metrics import PUBLISHER_METRICS
from consumers.runtime.progress import ConsumerProgress, Distribution
from producers.checker.known_checkers import KnownCheckers
from projections.route_table.health_age import HealthAge

Value = Callable[[ConsumerProgress], float]

_OF_PROCESS = ("process",)

_COUNTED: Mapping[Metric, Value] = {
    Metric(
        "entries_handled", "counter", "Entries whose work was done, since the process began."
    ): lambda progress: progress.counts.handled,
    Metric(
        "entries_skipped", "counter", "Entries that the group had no work for."
    ): lambda progress: progress.counts.skipped,
    Metric(
        "entries_failed", "counter", "Tries that did not succeed: retried and dead together."
    ): lambda progress: progress.counts.failed,
    Metric(
        "entries_retried", "counter", "Tries after which the entry stays pending for another one."
    ): lambda progress: progress.counts.retried,
    Metric(
        "entries_dead", "counter", "Entries that were given up on: see `routestream dead ls`."
    ): lambda progress: progress.counts.dead,
    Metric(
        "entries_claimed",
        "counter",
        "Entries taken over: idle for the claim time, or left by a former owner.",
    ): lambda progress: progress.counts.claimed,
    Metric(
        "revision_conflicts",
        "counter",
        "Documents that another projector had written first, so that they were folded anew.",
    ): lambda progress: progress.counts.conflicts,
    Metric(
        "consumer_connected",
        "gauge",
        "1 while the consumer consumes or waits for its turn, else 0.",
    ): lambda progress: float(progress.state in {"consuming", "waiting"}),
}
_DISTRIBUTED: Mapping[Metric, Callable[[ConsumerProgress], Distribution]] = {
    Metric(
        "batch_size_entries", "histogram", "Entries that were read and processed together."
    ): lambda progress: progress.batch_sizes,
    Metric(
        "apply_time_seconds",
        "histogram",
        "How long the script took that writes documents and acknowledges their entries.",
    ): lambda progress: progress.apply_times_s,
}
_FINDINGS = Metric(
    "findings",
    "counter",
    "What the group backend-ai found in Backend.AI's entries: docs/backend-ai.md explains each.",
    (*OF_GROUP, "finding"),
)
_OF_WHOLE_GROUP = "Read from Redis, the same in every process of the group: take the maximum."
_BACKLOG: Mapping[Metric, Callable[[Backlog], float]] = {
    Metric(
        "lag_entries",
        "gauge",
        f"Entries not yet delivered. {_OF_WHOLE_GROUP}",
    ): lambda backlog: backlog.lag,
    Metric(
        "pending_entries",
        "gauge",
        f"Entries delivered, but not acknowledged. {_OF_WHOLE_GROUP}",
    ): lambda backlog: backlog.pending,
    Metric(
        "oldest_pending_age_seconds",
        "gauge",
        f"How long ago the oldest pending entry was appended, 0 for none. {_OF_WHOLE_GROUP}",
    ): lambda backlog: backlog.oldest_pending_s,
    Metric(
        "entries_lost",
        "counter",
        f"Entries that the group found gone before it had handled them. {_OF_WHOLE_GROUP}",
    ): lambda backlog: backlog.lost,
}
_SERVER_UP = Metric(
    "server_up", "gauge", "1 when the server let us look, at most 1 s ago, else 0.", ()
)
_RESTARTS = Metric(
    "process_restarts",
    "counter",
    "How often the supervisor started the process again after it had ended by itself.",
    _OF_PROCESS,
)
_RUNNING = Metric("process_running", "gauge", "1 while the supervised process runs.", _OF_PROCESS)
_OF_DEPLOYMENT = "Read from Redis, the same in every process of the deployment: take the maximum."
_LIVING = Metric(
    "checkers_living", "gauge", f"Health checkers that share the endpoints. {_OF_DEPLOYMENT}", ()
)
_DEAD_CHECKERS = Metric(
    "checkers_dead",
    "gauge",
    f"Health checkers that died without another in their place. {_OF_DEPLOYMENT}",
    (),
)
_STALE = Metric(
    "health_stale_routes",
    "gauge",
    "Routes at whose health nobody has looked for 120 s, or 3 intervals if that is longer."
    f" {_OF_DEPLOYMENT}",
    (),
)
_HEALTH_AGE = Metric(
    "health_age_seconds",
    "gauge",
    "How long ago somebody last looked at the route that was looked at least recently."
    f" {_OF_DEPLOYMENT}",
    (),
)

METRICS = (
    *(*_COUNTED, *_DISTRIBUTED, _FINDINGS, *_BACKLOG),
    *(_SERVER_UP, _RESTARTS, _RUNNING),
    *(_LIVING, _DEAD_CHECKERS, _STALE, _HEALTH_AGE),
    *PROBE_METRICS,
    *KEEPER_METRICS,
    *PUBLISHER_METRICS,
)


def of_consumers(
    progresses: Sequence[ConsumerProgress], backlogs: Mapping[int, Backlog], *, server_up: bool
) -> Iterable[Family]:
    """Yield what the consumers of one process did, and their backlog by partition.

    If the server did not answer, the backlog is omitted: an old number would mislead.
    """
    for metric, value in _COUNTED.items():
        family = metric.family()
        for progress in progresses:
            family.add_sample(metric.full_name, _labels(progress), value(progress))
        yield family
    for metric, distribution_of in _DISTRIBUTED.items():
        yield _histogram(metric, [(progress, distribution_of(progress)) for progress in progresses])
    yield _found(progresses)
    for metric, left in _BACKLOG.items():
        family = metric.family()
        for progress in progresses:
            if (backlog := backlogs.get(progress.partition)) is not None:
                family.add_sample(metric.full_name, _labels(progress), left(backlog))
        yield family
    yield of_server(is_up=server_up)


def _found(progresses: Sequence[ConsumerProgress]) -> Family:
    family = _FINDINGS.family()
    for progress in progresses:
        for finding, count in progress.findings.items():
            labels = {**_labels(progress), "finding": finding}
            family.add_sample(_FINDINGS.full_name, labels, count)
    return family


def of_processes(restarts: Mapping[str, int], running: Iterable[str]) -> Iterable[Family]:
    """Yield restarts and state of the supervised processes; *restarts* names all of them."""
    runs = set(running)
    restarted, is_running = _RESTARTS.family(), _RUNNING.family()
    for name, count in restarts.items():
        restarted.add_sample(_RESTARTS.full_name, {"process": name}, count)
        is_running.add_sample(_RUNNING.full_name, {"process": name}, float(name in runs))
    yield from (restarted, is_running)


def of_checkers(known: KnownCheckers | None) -> Iterable[Family]:
    """Yield how many health checkers live and lack; nothing if that is not known."""
    if known is not None:
        yield _one(_LIVING, len(known.living))
        yield _one(_DEAD_CHECKERS, len(known.dead))


def of_health(ages: Collection[HealthAge] | None) -> Iterable[Family]:
    """Yield how old the health of the routes is; nothing if that is not known."""
    if ages is not None:
        yield _one(_STALE, sum(age.is_stale for age in ages))
        known_s = [age.age_s for age in ages if age.age_s is not None]
        if known_s or not ages:
            yield _one(_HEALTH_AGE, max(known_s, default=0.0))


def of_server(*, is_up: bool) -> Family:
    """Return whether the server answered."""
    return _one(_SERVER_UP, float(is_up))


def _one(metric: Metric, value: float) -> Family:
    family = metric.family()
    family.add_sample(metric.full_name, {}, value)
    return family


def _labels(progress: ConsumerProgress) -> dict[str, str]:
    return {"group": progress.group, "partition": str(progress.partition)}


def _histogram(
    metric: Metric, distributions: Iterable[tuple[ConsumerProgress, Distribution]]
) -> Family:
    family = metric.family()
    for progress, distribution in distributions:
        labels, buckets = _labels(progress), distribution.cumulated()
        for bound, count in buckets:
            family.add_sample(f"{metric.full_name}_bucket", {**labels, "le": bound}, count)
        family.add_sample(f"{metric.full_name}_count", labels, buckets[-1][1])
        family.add_sample(f"{metric.full_name}_sum", labels, distribution.total)
    return family
