from uuid import UUID

import pytest
from msgspec.structs import replace

from events.catalogue.endpoint import Owner
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.catalogue.route import (
    ROUTES_MAX,
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteRecord,
)
from events.catalogue.traffic_split import Rollout
from events.entry.entry_id import START, EntryId
from events.entry.recorded import RecordedEvent
from projections.errors import TooManyRoutesError, UnreadableDocumentError
from projections.route_set import FOLLOWED_MAX
from projections.route_table.endpoint import encode
from projections.route_table.route import Route
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.histories import (
    ROUTES,
    SESSIONS,
    E,
    at,
    checked,
    created,
    destroyed,
    endpoint_of,
    failed,
    history,
    listed,
    observed,
    record,
    recorded,
    route_created,
    split,
    started,
    terminating,
    weighted,
)

CHECK = HealthCheck(path="/health")
HERE = {"kernel_host": "10.0.0.9", "kernel_port": 9_000, "session_id": SESSIONS[1]}
RUNNING = record(0, status="running", traffic_ratio=0.5, **HERE)


def route_of(*events: Event, route: int = 0) -> Route:
    return endpoint_of(history(*events)).routes[ROUTES[route]]


def present(*events: Event) -> list[UUID]:
    return [route.route_id for route in endpoint_of(history(*events)).present_routes]


def test_an_endpoint_that_nothing_happened_to_is_not_there() -> None:
    endpoint = ROUTE_TABLE.initial(E)
    assert (endpoint.endpoint_id, endpoint.version) == (E, START)
    assert (endpoint.is_destroyed, endpoint.present_routes) == (False, [])


def test_a_created_endpoint_has_what_its_event_tells_and_no_routes() -> None:
    endpoint = endpoint_of(history(created(open_to_public=True, health_check=CHECK)))
    assert (endpoint.name, endpoint.model, endpoint.runtime_variant) == ("chat", "llama", "custom")
    assert (endpoint.open_to_public, endpoint.health_check) == (True, CHECK)
    assert endpoint.created_at == endpoint.health_check_at == endpoint.version == at(1)
    assert endpoint.routes == {}


def test_a_health_check_is_replaced_and_can_be_disabled() -> None:
    other = replace(CHECK, interval=1.0)
    changed = endpoint_of(history(created(health_check=CHECK), checked(other)))
    assert (changed.health_check, changed.health_check_at) == (other, at(2))
    disabled = endpoint_of(history(created(health_check=CHECK), checked(None)))
    assert (disabled.health_check, disabled.health_check_at) == (None, at(2))


def test_a_health_check_set_before_the_creation_arrives_stays() -> None:
    late = [recorded(checked(CHECK), at(2)), recorded(created(), at(1))]
    assert endpoint_of(late).health_check == CHECK


def test_a_created_route_is_provisioning_without_an_address() -> None:
    route = route_of(route_created())
    assert (route.status, route.health, route.kernel_host) == ("provisioning", "not_checked", None)
    assert (route.listed_at, route.status_since, route.traffic_ratio) == (at(1), at(1), 1.0)


def test_a_started_route_runs_at_its_address_and_keeps_its_weight() -> None:
    route = route_of(route_created(traffic_ratio=0.25), started(kernel_port=1, app="vllm"))
    assert (route.kernel_host, route.kernel_port, route.app) == ("10.0.0.1", 1, "vllm")
    assert (route.status, route.session_id) == ("running", SESSIONS[0])
    assert route.started_at == route.address_at == route.status_since == at(2)
    assert (route.traffic_ratio, route.ratio_at, route.listed_at) == (0.25, START, at(1))


def test_a_start_resets_the_health_of_the_process_before() -> None:
    sick = observed("unhealthy", reason="HTTP 500", consecutive_failures=10)
    route = route_of(route_created(), started(), sick, started())
    assert (route.health, route.health_reason, route.consecutive_failures) == (*UNKNOWN,)
    assert (route.health_at, route.started_at) == (START, at(4))


UNKNOWN = ("not_checked", None, 0)


def test_a_health_from_before_the_start_that_arrives_after_it_does_not_count() -> None:
    events = history(route_created(), observed("healthy"), started())
    assert endpoint_of([events[0], events[2], events[1]]).routes[ROUTES[0]].health == "not_checked"


def test_a_health_is_kept_with_its_reason() -> None:
    sick = observed("unhealthy", reason="HTTP 500", consecutive_failures=10)
    route = route_of(route_created(), started(), sick)
    assert (route.health, route.health_reason) == ("unhealthy", "HTTP 500")
    assert (route.consecutive_failures, route.health_at) == (10, at(3))


def test_a_terminating_route_is_still_there() -> None:
    route = route_of(route_created(), started(), terminating())
    assert (route.status, route.status_at) == ("terminating", at(3))
    assert present(route_created(), terminating()) == [ROUTES[0]]


def test_a_failed_route_says_why_and_a_new_status_takes_that_away() -> None:
    route = route_of(route_created(), failed(0, "no GPU", "again"))
    assert (route.status, route.errors, route.status_at) == ("failed", ("no GPU", "again"), at(2))
    assert route_of(route_created(), failed(0, "no GPU"), route_created()).errors == ()
    assert route_of(route_created(), failed(0, "no GPU"), listed(RUNNING)).errors == ()


def test_a_weight_is_set_alone() -> None:
    route = route_of(listed(RUNNING), weighted(0.0))
    assert (route.traffic_ratio, route.ratio_at) == (0.0, at(2))
    assert (route.status, route.kernel_host) == ("running", "10.0.0.9")


def test_labels_come_with_the_record_and_a_start_without_any_keeps_them() -> None:
    given, others = {"zone": "a", "role": "decode"}, {"zone": "b"}
    assert route_of(route_created(labels=given)).labels == given
    assert route_of(route_created(labels=given), started()).labels == given
    assert route_of(route_created(labels=given), started(labels=others)).labels == others
    assert route_of(route_created(labels=given), started(labels={})).labels == {}
    assert route_of(started(labels=given), listed(record(0))).labels == {}
    late = recorded(listed(record(0, labels=given)), at(1))
    newer = recorded(started(labels=others), at(2))
    assert endpoint_of([newer, late]).routes[ROUTES[0]].labels == others


def test_owner_and_labels_are_those_of_the_creation_and_outlive_the_endpoint() -> None:
    owner, labels = Owner(domain="default", user="kim"), {"tier": "gold"}
    endpoint = endpoint_of(history(created(owner=owner, labels=labels), destroyed()))
    assert (endpoint.owner, endpoint.labels) == (owner, labels)
    assert endpoint.is_destroyed


def test_a_document_of_a_release_without_labels_is_read() -> None:
    endpoint = endpoint_of(history(created(), route_created()))
    document = encode(endpoint, 3)
    assert b"labels" not in document
    assert b"owner" not in document
    assert ROUTE_TABLE.read(document) == (3, endpoint)


def test_a_list_says_all_of_its_routes() -> None:
    route = route_of(listed(RUNNING))
    assert (route.kernel_host, route.kernel_port, route.session_id) == (*HERE.values(),)
    assert (route.status, route.traffic_ratio) == ("running", 0.5)
    assert (route.listed_at, route.address_at, route.ratio_at, route.status_at) == STAMPS


STAMPS = (at(1), START, START, START)


def test_a_list_takes_over_what_single_events_set_before_it() -> None:
    route = route_of(listed(RUNNING), started(), weighted(0.1), terminating(), listed(RUNNING))
    assert (route.kernel_host, route.traffic_ratio, route.status) == ("10.0.0.9", 0.5, "running")
    assert (route.listed_at, route.address_at, route.ratio_at, route.status_at) == (
        *(at(5), START, START, START),
    )


def test_a_list_leaves_health_and_start_as_they_are() -> None:
    route = route_of(listed(RUNNING), started(), observed("healthy"), listed(RUNNING))
    assert (route.health, route.health_at, route.started_at) == ("healthy", at(3), at(2))


def test_a_late_list_leaves_what_newer_events_set() -> None:
    events = history(listed(RUNNING), listed(RUNNING), started(), weighted(0.1), terminating())
    late = endpoint_of([events[0], *events[2:], events[1]]).routes[ROUTES[0]]
    assert (late.kernel_host, late.traffic_ratio, late.status) == ("10.0.0.1", 0.1, "terminating")
    assert late.listed_at == at(2)


def test_a_route_that_a_list_lacks_is_gone() -> None:
    assert present(listed(record(0), record(1)), listed(record(1))) == [ROUTES[1]]
    assert present(route_created(0), listed()) == []
    assert endpoint_of(history(route_created(0), listed())).routes == {}


def test_a_list_of_the_whole_endpoint_voids_what_was_said_before() -> None:
    route = route_of(
        *(route_created(), started(), observed("healthy"), weighted(0.1), failed(0, "x")),
        *(listed(), listed(record(0))),
    )
    assert (route.health, route.status, route.errors) == ("not_checked", "provisioning", ())
    assert (route.traffic_ratio, route.kernel_host, route.started_at) == (1.0, None, START)
    assert (route.absent_at, route.listed_at) == (at(6), at(7))


@pytest.mark.parametrize(
    "said", [route_created(), started(), observed("healthy"), weighted(0.1), terminating()]
)
def test_what_was_said_before_a_list_without_the_route_does_not_count_when_it_comes_later(
    said: Event,
) -> None:
    events = history(said, listed(record(1)))
    assert endpoint_of(events[::-1]) == endpoint_of(events)
    assert set(endpoint_of(events[::-1]).routes) == {ROUTES[1]}


def test_what_was_heard_of_a_route_before_it_is_listed_is_kept_but_not_there() -> None:
    heard = history(started(), observed("healthy"), weighted(0.1))
    endpoint = endpoint_of(heard)
    assert endpoint.present_routes == []
    assert endpoint.routes[ROUTES[0]].health == "healthy"
    then = endpoint_of(
        [*heard, *(replace(one, entry_id=at(9)) for one in history(listed(RUNNING)))]
    )
    [route] = then.present_routes
    assert (route.health, route.started_at, route.kernel_host) == ("healthy", at(1), "10.0.0.9")


def test_a_route_that_is_created_again_is_there_again() -> None:
    assert present(route_created(), listed(), route_created()) == [ROUTES[0]]
    route = route_of(route_created(), listed(), route_created(traffic_ratio=0.5))
    assert (route.listed_at, route.absent_at, route.traffic_ratio) == (at(3), at(2), 0.5)


def test_routes_are_kept_in_the_order_of_their_ids() -> None:
    endpoint = endpoint_of(history(listed(record(2), record(0)), route_created(1)))
    assert list(endpoint.routes) == list(ROUTES)


def test_the_tombstone_keeps_who_it_was_and_nothing_else() -> None:
    before = (created(health_check=CHECK), listed(RUNNING))
    endpoint = endpoint_of(history(*before, destroyed()))
    assert endpoint.is_destroyed
    assert (endpoint.name, endpoint.model, endpoint.destroyed_at) == ("chat", "llama", at(3))
    assert (endpoint.routes, endpoint.health_check, endpoint.list_at) == ({}, None, START)


def test_nothing_brings_a_destroyed_endpoint_back() -> None:
    after = (created(name="again"), listed(RUNNING), route_created(1), checked(CHECK), started())
    endpoint = endpoint_of(history(created(), destroyed(), *after, destroyed()))
    assert endpoint.is_destroyed
    assert (endpoint.present_routes, endpoint.routes) == ([], {})
    assert (endpoint.destroyed_at, endpoint.health_check) == (at(2), None)
    assert endpoint.version == at(8)


def test_a_list_replaces_a_thousand_routes_by_a_thousand_others() -> None:
    def thousand(first: int) -> EndpointRouteListUpdatedEvent:
        return listed(*(RouteRecord(route_id=UUID(int=first + n)) for n in range(ROUTES_MAX)))

    assert len(present(thousand(0), thousand(5_000))) == ROUTES_MAX


def test_a_document_follows_a_bounded_number_of_routes() -> None:
    def create(number: int) -> RecordedEvent:
        one = RouteRecord(route_id=UUID(int=number))
        return recorded(RouteCreatedEvent(endpoint_id=E, route=one), EntryId(1, number))

    full = endpoint_of(map(create, range(1, FOLLOWED_MAX + 1)))
    with pytest.raises(TooManyRoutesError, match="follow 2001, the limit is 2000; set its route"):
        ROUTE_TABLE.evolve(full, create(FOLLOWED_MAX + 1))
    assert len(ROUTE_TABLE.evolve(full, create(5)).routes) == FOLLOWED_MAX


def test_a_traffic_split_is_kept_whole_and_the_newer_one_wins() -> None:
    rollout = Rollout(to="v2", back={"v1": 1.0}, percents=(50.0, 100.0), every_s=60.0)
    events = history(
        split({"v1": 95.0, "v2": 5.0}, rollout, "canary"), split({"v1": 1.0}, None, "back")
    )
    first = endpoint_of(events[:1])
    assert (first.split, first.rollout) == ({"v1": 95.0, "v2": 5.0}, rollout)
    assert (first.split_reason, first.split_at) == ("canary", at(1))
    newer = endpoint_of(events[::-1])
    assert (newer.split, newer.rollout, newer.split_reason) == ({"v1": 1.0}, None, "back")
    assert newer.split_at == at(2)


def test_a_split_of_nothing_ends_the_split_and_destruction_forgets_it() -> None:
    ended = endpoint_of(history(split({"v1": 1.0}), split({})))
    assert (ended.split, ended.split_at) == ({}, at(2))
    assert endpoint_of(history(split({"v1": 1.0}), destroyed())).split == {}


def test_the_document_is_what_a_person_reads_with_hget() -> None:
    document = encode(endpoint_of(history(created(), listed(RUNNING), observed("healthy"))), 3)
    assert document == (
        b'{"revision":3,"endpoint_id":"00000000-0000-0000-0000-00000000000e","version":[7,15],'
        b'"name":"chat","model":"llama","runtime_variant":"custom","open_to_public":false,'
        b'"health_check":null,"routes":[{"route_id":"00000000-0000-0000-0000-0000000000a0",'
        b'"session_id":"00000000-0000-0000-0000-000000000052","app":"","kernel_host":"10.0.0.9",'
        b'"kernel_port":9000,"protocol":"http","traffic_ratio":0.5,"status":"running",'
        b'"health":"healthy","listed_at":[7,10],"health_at":[7,15]}],"created_at":[7,5],'
        b'"health_check_at":[7,5],"list_at":[7,10]}'
    )


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b'{"revision":1}', b"garbage"])
def test_a_document_of_another_release_is_refused(document: bytes) -> None:
    with pytest.raises(UnreadableDocumentError, match="route-table document: "):
        ROUTE_TABLE.read(document)
