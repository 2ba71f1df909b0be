"""What is due: each phase that waits, just before its deadline and at it."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import EntryId
from producers.life_cycle.deadlines import DEADLINES, due
from producers.life_cycle.settings import LifeCycleSettings
from projections.route_table.endpoint import Endpoint
from projections.route_table.phase import PHASES
from tests.support.histories import (
    ROUTES,
    checked,
    created,
    destroyed,
    drained,
    endpoint_of,
    eviction_proposed,
    failed,
    listed,
    observed,
    ready,
    record,
    recorded,
    route_created,
    started,
    terminated,
    terminating,
    wanted,
)

SETTINGS = LifeCycleSettings(
    provisioning_s=100, warming_up_s=200, draining_s=30, terminating_s=300, evict_after_s=600
)
CHECK = HealthCheck(path="/health")
EVERY_S = 1_000
"""Seconds between two events of a test's history."""


def at_s(place: int) -> int:
    return place * EVERY_S


def after(*happened: Event) -> Endpoint:
    return endpoint_of(
        recorded(event, EntryId(at_s(place) * 1_000, 0)) for place, event in enumerate(happened, 1)
    )


def due_at(
    happened: Sequence[Event], now_s: float, unseen: Sequence[UUID] = ()
) -> tuple[Event, ...]:
    return due(after(*happened), round(now_s * 1_000), SETTINGS, unseen)


CHECKED = created(health_check=CHECK)
RUNNING = (CHECKED, route_created(), started())
UNHEALTHY = (*RUNNING, observed("unhealthy"))
DRAINING = (*RUNNING, terminating())


@pytest.mark.parametrize(
    ("happened", "wait_s", "expected"),
    [
        (
            (CHECKED, route_created()),
            100,
            failed(0, "its session did not run within 100 s", during="provisioning"),
        ),
        (
            (CHECKED, listed(record(status="running"))),
            100,
            failed(0, "its session did not run within 100 s", during="provisioning"),
        ),
        (
            RUNNING,
            200,
            failed(0, "its warm-up had no success within 200 s", during="warming_up"),
        ),
        (
            (created(health_check=HealthCheck(path="/", warm_up_time=7)), *RUNNING[1:]),
            7,
            failed(0, "its warm-up had no success within 7 s", during="warming_up"),
        ),
        (UNHEALTHY, 600, eviction_proposed(0, "unhealthy for 600 s")),
        (DRAINING, 30, drained(0, "its drain of 30 s is over")),
        ((*RUNNING, terminating(drain_s=2.5)), 2.5, drained(0, "its drain of 2.5 s is over")),
    ],
)
def test_what_waits_too_long_is_due_at_its_deadline_and_not_before(
    happened: tuple[Event, ...], wait_s: float, expected: Event
) -> None:
    begun_s = at_s(len(happened))
    assert due_at(happened, begun_s + wait_s - 0.001) == ()
    assert due_at(happened, begun_s + wait_s) == (expected,)
    assert due_at((*happened, expected), at_s(len(happened) + 1)) == ()


def test_a_drained_route_is_removed_once_nobody_says_its_session_is_gone() -> None:
    left = (*DRAINING, drained())
    assert due_at(left, at_s(5) + 299.999) == ()
    [gone] = due_at(left, at_s(5) + 300)
    assert gone.wire_name == "route_terminated"
    assert getattr(gone, "reason") == "nobody said within 300 s that its session is gone"  # noqa: B009
    assert after(*left, gone).present_routes == []


@pytest.mark.parametrize(
    "happened",
    [
        (CHECKED,),
        (*RUNNING, observed("healthy")),
        (*UNHEALTHY, observed("healthy")),
        (created(), route_created(), started()),
        (created(), route_created(), started(), observed("unhealthy")),
        (CHECKED, route_created(), failed(0, "x")),
        (CHECKED, listed(record(status="terminated"))),
        (*RUNNING, terminated()),
        (*DRAINING, destroyed()),
    ],
)
def test_what_waits_for_nothing_is_never_due(happened: tuple[Event, ...]) -> None:
    assert due_at(happened, at_s(1_000_000)) == ()


def test_every_phase_that_waits_has_a_deadline_and_no_other() -> None:
    assert set(PHASES.values()) - set(DEADLINES) == {"terminated", "failed_to_start"}


def test_a_warm_up_fails_only_where_somebody_looks() -> None:
    assert due_at(RUNNING, at_s(9), unseen=[ROUTES[0]]) == ()
    assert due_at((CHECKED, route_created()), at_s(9), unseen=[ROUTES[0]]) != ()


def test_a_check_that_begins_later_gives_its_routes_a_whole_warm_up() -> None:
    served = (created(), route_created(), started(), checked(CHECK))
    assert due_at(served, at_s(4) + 199) == ()
    assert due_at(served, at_s(4) + 200) != ()


def test_a_late_health_does_not_hide_that_a_drain_is_over() -> None:
    assert due_at((*DRAINING, observed("healthy")), at_s(5)) != ()


def test_an_eviction_is_proposed_once_for_each_time_that_it_is_unhealthy() -> None:
    again = (*UNHEALTHY, eviction_proposed(), observed("healthy"), observed("unhealthy"))
    assert due_at(again[:-2], at_s(99)) == ()
    assert due_at(again[:-1], at_s(99)) == ()
    assert due_at(again, at_s(99)) == (eviction_proposed(0, "unhealthy for 600 s"),)


def test_retries_are_reset_when_all_wanted_replicas_are_healthy() -> None:
    gone = (CHECKED, route_created(1), failed(1, "x", during="provisioning"))
    one = (*gone, wanted(2), route_created(0), started(0), observed("healthy"))
    assert due_at(one, at_s(7)) == ()
    both = (*one, route_created(2), started(2), observed("healthy", 2))
    assert due_at(both, at_s(10)) == (ready(2),)
    assert due_at((*both, ready(2)), at_s(11)) == ()


def test_retries_are_reset_with_more_replicas_than_wanted() -> None:
    happened = (created(), failed(1, during="warming_up"), wanted(1))
    more = (*happened, route_created(0), started(0), route_created(2), started(2))
    assert due_at(more, at_s(7)) == (ready(2),)


def test_a_route_is_due_whatever_another_waits_for() -> None:
    both = (CHECKED, route_created(0), route_created(1))
    assert len(due_at(both, at_s(2) + 100)) == 1
    assert len(due_at(both, at_s(3) + 100)) == 2
