"""What is due: routes that have waited in a phase for as long as they may.

Deadlines are counted from the stamps of the events that began the phase, so they are the same for
every keeper, before and after its restart.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

from events.catalogue.event import Event
from events.entry.entry_id import START, EntryId
from producers.endpoints.decisions import Decision
from producers.life_cycle.route_end import (
    end_drain,
    fail,
    propose_eviction,
    remove,
    removed_together,
    reset_retries,
)
from producers.life_cycle.settings import LifeCycleSettings
from projections.route_table.endpoint import Endpoint
from projections.route_table.phase import Phase, phase_of
from projections.route_table.route import Route


class Deadline(NamedTuple):
    """How long a route may wait in a phase, and what is recorded then.

    Attributes:
        since: The stamp from which it waits; `START` where nothing says since when.
        wait_s: For how long.
        decide: Decides what to record for the route, with the reason.
        reason: The reason, with the time in it.
        wait: What gives the time, for a person.
        effect: The event that is recorded, for a person.
    """

    since: Callable[[Endpoint, Route], EntryId]
    wait_s: Callable[[Endpoint, Route, LifeCycleSettings], float]
    decide: Callable[[Endpoint, UUID, str], Decision]
    reason: str
    wait: str
    effect: str


def _warming_since(endpoint: Endpoint, route: Route) -> EntryId:
    begun = route.started_at if route.started_at > START else route.status_since
    return max(begun, endpoint.health_check_at)


def _warm_up_s(endpoint: Endpoint, _route: Route, settings: LifeCycleSettings) -> float:
    check = endpoint.health_check
    given = None if check is None else check.warm_up_time
    return settings.warming_up_s if given is None else given


def _unhealthy_since(_endpoint: Endpoint, route: Route) -> EntryId:
    return route.health_at if route.health == "unhealthy" else START


DEADLINES: Mapping[Phase, Deadline] = {
    "provisioning": Deadline(
        lambda _, route: route.status_since,
        lambda _endpoint, _route, settings: settings.provisioning_s,
        lambda endpoint, route_id, reason: fail(endpoint, route_id, (reason,)),
        "its session did not run within {:g} s",
        "`life_cycle.provisioning_s`",
        "`route_failed`",
    ),
    "warming_up": Deadline(
        _warming_since,
        _warm_up_s,
        lambda endpoint, route_id, reason: fail(endpoint, route_id, (reason,)),
        "its warm-up had no success within {:g} s",
        "the health check's `warm_up_time`, else `life_cycle.warming_up_s`",
        "`route_failed`",
    ),
    "running": Deadline(
        _unhealthy_since,
        lambda _endpoint, _route, settings: settings.evict_after_s,
        propose_eviction,
        "unhealthy for {:g} s",
        "`life_cycle.evict_after_s`, while it is unhealthy",
        "`route_eviction_proposed`",
    ),
    "draining": Deadline(
        lambda _, route: route.status_since,
        lambda _, route, settings: settings.draining_s if route.drain_s is None else route.drain_s,
        end_drain,
        "its drain of {:g} s is over",
        "the termination's `drain_s`, else `life_cycle.draining_s`",
        "`route_drained`",
    ),
    "terminating": Deadline(
        lambda _, route: route.drained_at,
        lambda _endpoint, _route, settings: settings.terminating_s,
        remove,
        "nobody said within {:g} s that its session is gone",
        "`life_cycle.terminating_s`",
        "`route_terminated`",
    ),
}
"""The deadline of every phase that waits for something."""


def due(
    endpoint: Endpoint,
    now_ms: int,
    settings: LifeCycleSettings,
    unseen: Collection[UUID] = frozenset(),
) -> Decision:
    """Return what is due for the endpoint: at most one event for each route, and its readiness.

    Args:
        endpoint: The endpoint.
        now_ms: The server's clock, in ms since 1970.
        settings: How long routes may wait.
        unseen: Routes whose health nobody looks at: their warm-up does not fail.
    """
    if endpoint.is_destroyed:
        return ()
    decision = (*_due(endpoint, now_ms, settings, unseen), *reset_retries(endpoint))
    return removed_together(decision)


def _due(
    endpoint: Endpoint, now_ms: int, settings: LifeCycleSettings, unseen: Collection[UUID]
) -> Iterator[Event]:
    for route in endpoint.present_routes:
        phase = phase_of(endpoint, route)
        deadline = DEADLINES.get(phase)
        if deadline is None or (phase == "warming_up" and route.route_id in unseen):
            continue
        since, wait_s = deadline.since(endpoint, route), deadline.wait_s(endpoint, route, settings)
        if since > START and now_ms - since.ms >= wait_s * 1_000:
            yield from deadline.decide(endpoint, route.route_id, deadline.reason.format(wait_s))
