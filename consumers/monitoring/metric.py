"""Define a metric that a process exposes to Prometheus, and the registry of a scrape."""

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family

PREFIX = "routestream_"

Kind = Literal["counter", "gauge", "histogram"]

OF_GROUP = ("group", "partition")


class Metric(msgspec.Struct, frozen=True):
    """One metric.

    Attributes:
        name: Its name without the prefix; the names of a counter's samples end in `_total`.
        kind: Its Prometheus type.
        help: What it counts, and what to know before adding it up.
        labels: Its labels. The consumer's name is not one: it changes with each start.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = OF_GROUP

    @property
    def full_name(self) -> str:
        """The name of its samples."""
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"

    def family(self) -> Family:
        """Return its family without samples."""
        kinds = {
            "counter": CounterMetricFamily,
            "gauge": GaugeMetricFamily,
            "histogram": HistogramMetricFamily,
        }
        family: Family = kinds[self.kind](PREFIX + self.name, self.help, labels=self.labels)
        return family


def registry_of(collect: Callable[[], Iterable[Family]]) -> CollectorRegistry:
    """Return a new registry that calls *collect* at each scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(collect))
    return registry


class _Collected:
    def __init__(self, collect: Callable[[], Iterable[Family]]) -> None:
        self.collect = collect
