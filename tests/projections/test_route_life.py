"""How a route ends: terminating, drained, gone; and what an endpoint remembers of failures."""

import pytest

from events import RouteTerminatedEvent
from events.entry.entry_id import START
from events.errors import InvalidEventError
from projections.health_state.health_state import HEALTH_STATE
from projections.route_table.endpoint import FAILURES_MAX, Endpoint
from projections.route_table.route import Route
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.histories import (
    ROUTES,
    E,
    at,
    drained,
    endpoint_of,
    eviction_proposed,
    failed,
    health_of,
    history,
    listed,
    observed,
    ready,
    record,
    route_created,
    started,
    terminated,
    terminating,
    wanted,
)


def endpoint_after(*happened: object) -> Endpoint:
    return endpoint_of(history(*happened))  # type: ignore[arg-type]


def route_after(*happened: object) -> Route:
    return endpoint_after(*happened).routes[ROUTES[0]]


@pytest.mark.parametrize("late", [started(), observed("healthy"), observed("unhealthy"), drained()])
@pytest.mark.parametrize("end", [terminating(), failed(0, "no GPU")])
def test_a_late_event_never_revives_a_route_that_has_ended(end: object, late: object) -> None:
    ended = route_after(route_created(), started(), end)
    assert route_after(route_created(), started(), end, late).status == ended.status


def test_only_a_list_or_a_creation_brings_an_ended_route_back() -> None:
    ended = (route_created(), started(), terminating(reason="scale down", drain_s=5.0))
    assert route_after(*ended).status_reason == "scale down"
    again = route_after(*ended, listed(record(status="running")))
    assert (again.status, again.status_reason, again.drain_s) == ("running", None, None)
    assert route_after(*ended, route_created()).status == "provisioning"


def test_a_start_counts_once_a_list_has_brought_the_route_back() -> None:
    events = history(terminating(), started(), listed(record(status="running")))
    events[1], events[2] = history(terminating(), listed(record(status="running")), started())[1:]
    assert endpoint_of(events).routes[ROUTES[0]].status == "running"
    assert endpoint_of(events[::-1]) == endpoint_of(events)


def test_a_drain_is_over_until_the_route_terminates_anew() -> None:
    over = (route_created(), started(), terminating(), drained(0, "idle"))
    assert not route_after(*over[:-1]).is_drained
    assert route_after(*over).is_drained
    assert route_after(*over).drained_reason == "idle"
    assert not route_after(*over, listed(record(status="terminating"))).is_drained
    assert not route_after(route_created(), started(), drained()).is_drained


@pytest.mark.parametrize("before", [(), (terminating(),), (terminating(), drained())])
def test_a_terminated_route_leaves_the_table_terminating_or_not(before: tuple[object]) -> None:
    endpoint = endpoint_after(route_created(), started(), *before, terminated())
    assert endpoint.present_routes == []


def test_what_is_delivered_after_a_routes_end_does_not_bring_it_back() -> None:
    events = history(route_created(), started(), observed("healthy"), terminated())
    last = endpoint_of(events[-1:])
    for late in events:
        last = ROUTE_TABLE.evolve(last, late)
    assert last.present_routes == []
    assert last == endpoint_of(events)


def test_a_route_that_is_created_again_after_its_end_is_there() -> None:
    endpoint = endpoint_after(route_created(), started(), terminated(), route_created())
    assert [route.status for route in endpoint.present_routes] == ["provisioning"]
    assert endpoint.present_routes[0].started_at == START


def test_ended_routes_are_forgotten_once_an_event_says_which_remain() -> None:
    there = (route_created(0), route_created(1), route_created(2), terminated(0))
    assert list(endpoint_after(*there).routes) == list(ROUTES)
    after = history(*there, terminated(1, remaining=[2]))
    assert list(endpoint_of(after).routes) == [ROUTES[2]]
    assert list(health_of(after).routes) == [ROUTES[2]]
    assert endpoint_of(after[::-1]) == endpoint_of(after)
    assert health_of(after[::-1]) == health_of(after)


def test_a_route_that_remains_is_kept_though_an_older_list_lacks_it() -> None:
    events = history(listed(), route_created(2), route_created(1), terminated(1, remaining=[2]))
    as_delivered = [events[3], events[0], *events[1:3]]
    assert endpoint_of(as_delivered) == endpoint_of(events)
    assert health_of(as_delivered) == health_of(events)
    assert [route.route_id for route in endpoint_of(events).present_routes] == [ROUTES[2]]


def test_a_route_cannot_be_gone_and_remain() -> None:
    with pytest.raises(InvalidEventError, match="remaining"):
        RouteTerminatedEvent(endpoint_id=E, route_id=ROUTES[0], remaining=(ROUTES[0],))


def test_an_ended_route_takes_less_than_100_bytes_of_a_document() -> None:
    none = history(route_created(1), route_created(2), terminated(1))
    one = [*none, *history(*[ready()] * 3, terminated(2))[-1:]]
    grown = len(ROUTE_TABLE.encode(endpoint_of(one), 1)) - len(
        ROUTE_TABLE.encode(endpoint_of(none), 1)
    )
    assert grown < 100
    grown = len(HEALTH_STATE.encode(health_of(one), 1)) - len(
        HEALTH_STATE.encode(health_of(none), 1)
    )
    assert grown < 100


def test_failures_to_start_are_counted_until_all_replicas_are_healthy() -> None:
    twice = (failed(0, "x", during="provisioning"), failed(1, "y", during="warming_up"))
    assert endpoint_after(*twice).failures == (at(1), at(2))
    assert endpoint_after(*twice, failed(0, during="running"), failed(1)).failures == (at(1), at(2))
    assert endpoint_after(*twice, ready()).failures == ()
    assert endpoint_after(*twice, ready(), twice[0]).failures == (at(4),)


def test_no_more_than_the_newest_failures_are_remembered() -> None:
    events = history(*[failed(during="provisioning")] * (FAILURES_MAX + 8))
    assert endpoint_of(events).failures == tuple(one.entry_id for one in events[-FAILURES_MAX:])
    assert endpoint_of(events[::-1]) == endpoint_of(events)


def test_the_number_of_wanted_replicas_is_the_newest_given() -> None:
    assert endpoint_after(route_created()).replicas is None
    assert endpoint_after(wanted(3), wanted(0)).replicas == 0
    assert endpoint_of(history(wanted(3), wanted(0))[::-1]).replicas == 0


def test_a_proposed_eviction_changes_nothing_but_says_why() -> None:
    before = route_after(route_created(), started(), observed("unhealthy"))
    after = route_after(
        route_created(), started(), observed("unhealthy"), eviction_proposed(0, "unhealthy 600 s")
    )
    assert (after.eviction_at, after.eviction_reason) == (at(4), "unhealthy 600 s")
    assert (after.status, after.health) == (before.status, before.health)
