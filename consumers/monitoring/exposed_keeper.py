"""Exposes the metrics and health of a keeper of the life-cycle."""

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric as Family

from consumers.monitoring.metric import Metric
from consumers.monitoring.vitals import Health, Problem
from producers.life_cycle.keeper import LifeCycleKeeper

_PASSED = Metric(
    "deadlines_passed",
    "counter",
    "Events that this keeper of the life-cycle has recorded, by their names on the wire.",
    ("event",),
)
_ROUTES = Metric(
    "phase_routes",
    "gauge",
    "Routes in each phase of docs/states.md. Read from the route table, the same in every keeper:"
    " take the maximum.",
    ("phase",),
)

KEEPER_METRICS = (_PASSED, _ROUTES)


class ExposedKeeper:
    """A keeper: alive while it answers, ready while it has the route table and reaches the server.

    Attributes:
        keeper: The keeper, None before it has the route table.
    """

    def __init__(self) -> None:
        self.keeper: LifeCycleKeeper | None = None

    async def metrics(self) -> Iterable[Family]:
        """Return what it has recorded, and how many routes are in each phase."""
        passed, routes = _PASSED.family(), _ROUTES.family()
        if self.keeper is not None:
            for name, count in sorted(self.keeper.recorded.items()):
                passed.add_sample(_PASSED.full_name, {"event": name}, count)
            for phase, count in sorted(self.keeper.phases().items()):
                routes.add_sample(_ROUTES.full_name, {"phase": phase}, count)
        return passed, routes

    async def liveness(self) -> Health:
        """Return ok: it answers."""
        return Health(ok=True)

    async def readiness(self) -> Health:
        """Return whether it has the route table, and the server has answered its last look."""
        if self.keeper is None:
            return Health.of([Problem("it waits for the route table")])
        away = Problem("the server did not answer its last look")
        return Health.of([away if self.keeper.failures else None])
