"""Defines what a publisher exposes to Prometheus of its table and its proxies."""

from collections.abc import Callable, Iterable, Mapping
from time import time

from prometheus_client.metrics_core import Metric as Family

from consumers.monitoring.metric import Metric
from consumers.publishers.proxy_ledger import ProxyState

_TABLE_AGE = Metric(
    "publisher_table_age_seconds",
    "gauge",
    "For how long events may lie in the log that the published table does not show.",
    ("publisher",),
)
_PROXY_ACKNOWLEDGED = Metric(
    "proxy_acknowledged_age_seconds",
    "gauge",
    "How long ago it was last proved that the proxy has what it was given.",
    ("publisher", "proxy"),
)
_PROXY_BEHIND = Metric(
    "proxy_behind_seconds",
    "gauge",
    "For how long the proxy was given a revision that it has not acknowledged; 0 if it has.",
    ("publisher", "proxy"),
)
_PROXY_REFUSED = Metric(
    "proxy_refusals",
    "gauge",
    "Endpoints and routes of the last revision that the proxy, or its encoder, refused.",
    ("publisher", "proxy"),
)
_PROXY_UP = Metric(
    "proxy_up",
    "gauge",
    "Whether the proxy could be reached at the last try (1) or not (0).",
    ("publisher", "proxy"),
)

PUBLISHER_METRICS = (*(_TABLE_AGE, _PROXY_ACKNOWLEDGED, _PROXY_BEHIND, _PROXY_REFUSED, _PROXY_UP),)


def of_publisher(
    publisher: str, table_age_s: float | None, proxies: Iterable[ProxyState]
) -> Iterable[Family]:
    """Yield how old the published table is, None where none is known, and what each proxy has."""
    table_age = _TABLE_AGE.family()
    if table_age_s is not None:
        table_age.add_sample(_TABLE_AGE.full_name, {"publisher": publisher}, table_age_s)
    yield table_age
    known, now = list(proxies), time()
    values: Mapping[Metric, Callable[[ProxyState], float | None]] = {
        _PROXY_ACKNOWLEDGED: lambda one: one.acknowledged_at and now - one.acknowledged_at,
        _PROXY_BEHIND: lambda one: now - (one.sent_at or now) if one.is_behind else 0.0,
        _PROXY_REFUSED: lambda one: one.refused,
        _PROXY_UP: lambda one: one.problem is None,
    }
    for metric, value_of in values.items():
        family = metric.family()
        for one in known:
            if (value := value_of(one)) is not None:
                labels = {"publisher": publisher, "proxy": one.proxy}
                family.add_sample(metric.full_name, labels, float(value))
        yield family
