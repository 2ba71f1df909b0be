"""Exposes the metrics and health of a publisher."""

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric as Family

from consumers.monitoring.publisher_metrics import of_publisher
from consumers.monitoring.vitals import Health, Problem
from consumers.publishers.proxy_ledger import ProxyLedger
from consumers.publishers.snapshot_feed import SnapshotFeed


class ExposedPublisher:
    """A publisher: alive while it answers, ready while it has a table and reaches its proxies.

    Attributes:
        feed: What it publishes, None before it has the route table.
        ledger: What its proxies have acknowledged, None before.
    """

    def __init__(self, publisher: str) -> None:
        self.feed: SnapshotFeed | None = None
        self.ledger: ProxyLedger | None = None
        self._publisher = publisher

    async def metrics(self) -> Iterable[Family]:
        """Return how old the published table is, and what each proxy has of it."""
        states = self.ledger.states if self.ledger else ()
        return of_publisher(self._publisher, self.feed.age_s if self.feed else None, states)

    async def liveness(self) -> Health:
        """Return ok: it answers."""
        return Health(ok=True)

    async def readiness(self) -> Health:
        """Return whether it has the route table, follows it, and reaches its proxies."""
        if self.feed is None or self.ledger is None:
            return Health.of([Problem("it waits for the route table")])
        problems = [Problem(self.feed.problem)] if self.feed.problem else []
        problems += [
            Problem(f"proxy {state.proxy}: {state.problem}")
            for state in self.ledger.states
            if state.problem
        ]
        return Health.of(problems)
