from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from consumers.publishers.backend_ai.bulk_request import bulk_table
from consumers.publishers.backend_ai.settings import BackendAISettings
from events.catalogue.endpoint import Owner
from events.entry.recorded import RecordedEvent
from projections.route_table.routing import routable
from tests.consumers.publishers.support.appproxy_snapshots import E, endpoint, route, snapshot
from tests.support.histories import endpoint_of, histories

PROJECT = "00000000-0000-4000-8000-0000000000c1"
USER = "00000000-0000-4000-8000-0000000000d1"
SETTINGS = BackendAISettings(domain="science", project=PROJECT, user=USER)


def body(items: Sequence[object]) -> bytes:
    return msgspec.json.encode({"endpoints": items})


def test_an_endpoint_is_made_by_these_bytes() -> None:
    table = bulk_table(snapshot(endpoint(open_to_public=True)), SETTINGS)
    assert body([*table.creations.values()]) == (
        b'{"endpoints":[{"deployment_id":"00000000-0000-4000-8000-0000000000e1","version":"v2",'
        b'"service_name":"chat","tags":{"session":{'
        b'"user_uuid":"00000000-0000-4000-8000-0000000000d1",'
        b'"project_id":"00000000-0000-4000-8000-0000000000c1","domain_name":"science"},'
        b'"endpoint":{"id":"00000000-0000-4000-8000-0000000000e1","runtime_variant":"custom"}},'
        b'"open_to_public":true,"health_check":null}]}'
    )


def test_routes_are_replaced_by_these_bytes() -> None:
    table = bulk_table(snapshot(endpoint(route(1), route(2))), SETTINGS)
    assert body([*table.routes.values()]) == (
        b'{"endpoints":[{"deployment_id":"00000000-0000-4000-8000-0000000000e1","routes":['
        b'{"session_id":"00000000-0000-4000-8000-0000000000a1",'
        b'"route_id":"00000000-0000-4000-8000-0000000000b1",'
        b'"kernel_host":"10.0.0.1","kernel_port":30001},'
        b'{"session_id":"00000000-0000-4000-8000-0000000000a2",'
        b'"route_id":"00000000-0000-4000-8000-0000000000b2",'
        b'"kernel_host":"10.0.0.1","kernel_port":30002}]}]}'
    )
    assert table.refusals == ()


def test_no_routes_are_said_as_an_empty_list() -> None:
    table = bulk_table(snapshot(endpoint()), SETTINGS)
    assert body([*table.routes.values()]) == (
        b'{"endpoints":[{"deployment_id":"00000000-0000-4000-8000-0000000000e1","routes":[]}]}'
    )


def test_a_destroyed_endpoint_is_deleted_by_these_bytes() -> None:
    table = bulk_table(snapshot(), SETTINGS)
    assert body([*table.deletions.values()]) == (
        b'{"endpoints":[{"deployment_id":"00000000-0000-4000-8000-0000000000e9"}]}'
    )


def test_an_owner_is_said_as_far_as_appproxy_can_read_it() -> None:
    owner = Owner(domain="arts", project="not a UUID", user="00000000-0000-4000-8000-0000000000d7")
    table = bulk_table(snapshot(endpoint(owner=owner)), SETTINGS)
    session = table.creations[E].tags.session
    assert session.domain_name == "arts"
    assert session.project_id == PROJECT
    assert session.user_uuid == owner.user


@pytest.mark.parametrize("odd", ["two words", "a\x00b", "-", "n" * 64, "name/of"])
def test_a_text_that_appproxy_cannot_keep_is_said_by_one_that_it_can(odd: str) -> None:
    owner = Owner(domain="arts\n")
    state = endpoint(name=odd, runtime_variant=odd, owner=owner)
    creation = bulk_table(snapshot(state), SETTINGS).creations[E]
    assert creation.service_name == str(E)
    assert creation.tags.endpoint.runtime_variant == "custom"
    assert creation.tags.session.domain_name == "science"


def test_a_route_without_weight_is_left_out_and_other_weights_are_said_once() -> None:
    routes = [route(1, traffic_ratio=3.0), route(2), route(3, traffic_ratio=0.0)]
    table = bulk_table(snapshot(endpoint(*routes)), SETTINGS)
    assert len(table.routes[E].routes) == 2
    [said] = table.refusals
    assert said.subject == "chat"
    assert said.why == (
        "its routes have weights from 1 to 3, which the coordinator has no field for:"
        " each route gets an equal share"
    )


def test_a_revision_without_a_share_is_left_out_and_a_canary_is_told_as_a_refusal() -> None:
    routes = [route(n, labels={"revision": f"v{n}"}) for n in (1, 2)]
    whole = bulk_table(snapshot(replace(endpoint(*routes), split={"v2": 100.0})), SETTINGS)
    assert [entry.kernel_port for entry in whole.routes[E].routes] == [30_002]
    assert whole.refusals == ()
    split = {"v1": 95.0, "v2": 5.0}
    canary = bulk_table(snapshot(replace(endpoint(*routes), split=split)), SETTINGS)
    assert len(canary.routes[E].routes) == 2
    assert "weights from 5 to 95" in canary.refusals[0].why


def test_a_route_that_cannot_be_said_is_refused_alone() -> None:
    routes = [
        route(1),
        route(2, session_id=route(1).session_id),
        route(3, session_id=None),
        route(4, protocol="tcp"),
        route(5, kernel_host="::1"),
        route(6, kernel_host="evil.example?x#"),
    ]
    table = bulk_table(snapshot(endpoint(*routes)), SETTINGS)
    assert [entry.route_id for entry in table.routes[E].routes] == [routes[0].route_id]
    assert [refusal.subject for refusal in table.refusals] == [
        f"chat route {refused.route_id}" for refused in routes[1:]
    ]


@given(histories())
def test_no_route_and_no_session_is_said_twice(events: list[RecordedEvent]) -> None:
    state = endpoint_of(events)
    table = bulk_table(snapshot(state), SETTINGS)
    [said] = table.routes.values()
    assert len({entry.route_id for entry in said.routes}) == len(said.routes)
    assert len({entry.session_id for entry in said.routes}) == len(said.routes)
    assert len(said.routes) + len(table.refusals) >= len(routable(state))
