from uuid import UUID

import pytest

from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import START
from projections.errors import UnreadableDocumentError
from projections.health_state.endpoint_health import RouteHealth, decode, encode
from projections.health_state.health_state import HEALTH_STATE
from projections.health_state.transitions import TRANSITIONS_MAX
from tests.support.histories import (
    ROUTES,
    SESSIONS,
    E,
    at,
    checked,
    created,
    destroyed,
    failed,
    health_of,
    history,
    listed,
    observed,
    record,
    route_created,
    started,
    terminating,
    weighted,
)

SICK = observed("unhealthy", reason="HTTP 500", consecutive_failures=10)
WELL = observed("healthy", reason="first success")


def route_of(*events: Event, route: int = 0) -> RouteHealth:
    return health_of(history(*events)).routes[ROUTES[route]]


def routes(*events: Event) -> list[UUID]:
    return list(health_of(history(*events)).routes)


def test_a_listed_route_is_not_checked_yet() -> None:
    route = route_of(listed(record(0, session_id=SESSIONS[0])))
    assert (route.health, route.since, route.transitions) == ("not_checked", START, ())
    assert (route.session_id, route.listed_at) == (SESSIONS[0], at(1))


def test_a_created_route_is_not_checked_yet() -> None:
    assert route_of(route_created(session_id=SESSIONS[1])).session_id == SESSIONS[1]


def test_a_started_route_is_not_checked_since_its_start() -> None:
    route = route_of(route_created(), started())
    assert (route.health, route.since, route.started_at) == ("not_checked", at(2), at(2))


def test_a_transition_is_kept_with_its_reason() -> None:
    route = route_of(route_created(), SICK)
    assert route.health == "unhealthy"
    [transition] = route.transitions
    assert (transition.at, transition.new_status) == (at(2), "unhealthy")
    assert (transition.reason, transition.consecutive_failures) == ("HTTP 500", 10)


def test_a_health_began_with_the_first_event_that_told_it() -> None:
    assert route_of(route_created(), WELL, SICK, SICK).since == at(3)
    assert route_of(route_created(), WELL, WELL, WELL).since == at(2)
    assert route_of(route_created(), SICK, started(), SICK).since == at(4)


def test_a_start_resets_the_health_and_keeps_the_transitions() -> None:
    route = route_of(route_created(), started(), WELL, SICK, started())
    assert (route.health, route.since) == ("not_checked", at(5))
    assert [transition.at for transition in route.transitions] == [at(3), at(4)]
    assert route_of(route_created(), SICK, started(), WELL).health == "healthy"


def test_a_start_that_arrives_late_resets_nothing_newer() -> None:
    events = history(route_created(), started(), WELL)
    assert health_of([events[0], events[2], events[1]]).routes[ROUTES[0]].health == "healthy"


def test_the_newest_thirty_two_transitions_are_kept() -> None:
    route = route_of(route_created(), *[WELL, SICK] * 20)
    assert TRANSITIONS_MAX == 32
    assert [transition.at for transition in route.transitions] == [at(n) for n in range(10, 42)]


def test_a_transition_delivered_twice_is_one() -> None:
    events = history(route_created(), WELL)
    assert len(health_of([*events, events[1]]).routes[ROUTES[0]].transitions) == 1


def test_a_list_without_the_route_voids_its_health() -> None:
    assert routes(route_created(), WELL, listed(record(1))) == [ROUTES[1]]
    route = route_of(route_created(), started(), WELL, listed(), listed(record(0)))
    assert (route.health, route.transitions, route.started_at) == ("not_checked", (), START)
    assert (route.absent_at, route.listed_at) == (at(4), at(5))


def test_what_was_found_before_the_list_does_not_count_when_it_comes_later() -> None:
    events = history(WELL, listed(record(1)))
    assert health_of(events[::-1]) == health_of(events)


def test_what_was_found_of_a_route_before_it_is_listed_counts_once_it_is() -> None:
    assert route_of(WELL).listed_at == START
    assert route_of(WELL, listed(record(0))).health == "healthy"


def test_the_tombstone_takes_all_routes_away_for_good() -> None:
    state = health_of(history(listed(record(0)), WELL, destroyed(), listed(record(0)), WELL))
    assert (state.routes, state.destroyed_at, state.version) == ({}, at(3), at(5))


def test_the_earlier_of_two_tombstones_counts() -> None:
    events = history(destroyed(), destroyed())
    assert health_of(events).destroyed_at == health_of(events[::-1]).destroyed_at == at(1)


@pytest.mark.parametrize(
    "event",
    [created(), checked(HealthCheck(path="/")), terminating(), failed(), weighted(0.5)],
    ids=lambda event: event.wire_name,
)
def test_what_says_nothing_of_health_only_moves_the_version(event: Event) -> None:
    before = health_of(history(listed(record(0)), WELL))
    after = health_of(history(listed(record(0)), WELL, event))
    assert after.routes == before.routes
    assert after.version == at(3)


def test_the_document_is_what_a_person_reads_with_hget() -> None:
    document = encode(health_of(history(listed(record(0)), SICK)), 2)
    assert document == (
        b'{"revision":2,"endpoint_id":"00000000-0000-0000-0000-00000000000e","version":[7,10],'
        b'"routes":[{"route_id":"00000000-0000-0000-0000-0000000000a0","health":"unhealthy",'
        b'"since":[7,10],"listed_at":[7,5],'
        b'"transitions":[[[7,10],"unhealthy","HTTP 500",10]]}],"list_at":[7,5]}'
    )
    assert decode(document)[0] == 2


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b'{"revision":1}'])
def test_a_document_of_another_release_is_refused(document: bytes) -> None:
    with pytest.raises(UnreadableDocumentError, match="health-state document: "):
        HEALTH_STATE.read(document)


@pytest.mark.parametrize("stamp", ["[-1,0]", f"[{2**64},0]"])
def test_a_document_with_a_stamp_that_is_none_is_refused(stamp: str) -> None:
    document = encode(health_of(history(SICK)), 1)
    assert document.count(b"[[[7,5]") == 1
    with pytest.raises(UnreadableDocumentError, match="health-state document: "):
        HEALTH_STATE.read(document.replace(b"[[[7,5]", b"[[" + stamp.encode()))


def test_an_endpoint_that_nothing_happened_to_has_no_health() -> None:
    assert HEALTH_STATE.initial(E).routes == {}
