from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck as Slow
from hypothesis import given, settings
from hypothesis import strategies as st

from events.catalogue.model_service import ModelServiceStatusEvent
from events.entry.entry_id import START
from events.entry.recorded import RecordedEvent, fold
from projections.health_state.transitions import TRANSITIONS_MAX
from projections.projection import Projection
from projections.route_table.endpoint import Endpoint
from tests.support import oracle
from tests.support.histories import (
    PROJECTIONS,
    E,
    deliveries_of,
    endpoint_of,
    health_of,
    histories,
    history,
    observed,
    started,
)
from tests.support.laws import examples

laws = settings(max_examples=examples(400), deadline=None, suppress_health_check=[Slow.too_slow])
of_each = pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)


def folded(projection: Projection[Any], events: list[RecordedEvent]) -> Any:  # noqa: ANN401
    return fold(projection.evolve, projection.initial(E), events)


@of_each
@given(data=st.data())
@laws
def test_any_order_and_any_number_of_deliveries_lead_to_the_same_document(
    projection: Projection[Any], data: st.DataObject
) -> None:
    events = data.draw(histories())
    in_order = folded(projection, events)
    as_delivered = folded(projection, data.draw(deliveries_of(events)))
    assert as_delivered == in_order
    assert projection.encode(as_delivered, 7) == projection.encode(in_order, 7)


@of_each
@given(data=st.data())
@laws
def test_going_on_from_a_stored_document_is_going_on_from_the_state(
    projection: Projection[Any], data: st.DataObject
) -> None:
    deliveries = data.draw(deliveries_of(data.draw(histories())))
    cuts = data.draw(st.sets(st.integers(0, len(deliveries))))
    state = projection.initial(E)
    for place, one in enumerate(deliveries):
        if place in cuts:
            _, state = projection.decode(projection.encode(state, place))
        state = projection.evolve(state, one)
    assert state == folded(projection, deliveries)
    assert projection.encode(state, 1) == projection.encode(folded(projection, deliveries), 1)


@of_each
@given(data=st.data(), revision=st.integers(1, 2**53))
@laws
def test_a_document_reads_back_as_its_state_and_begins_with_its_revision(
    projection: Projection[Any], data: st.DataObject, revision: int
) -> None:
    state = folded(projection, data.draw(histories()))
    document = projection.encode(state, revision)
    assert document.startswith(b'{"revision":%d,' % revision)
    assert document.startswith(b'{"revision":%d,' % revision)
    assert projection.decode(document) == (revision, state)
    assert projection.encode(state, revision) == document


@of_each
@given(data=st.data())
@laws
def test_a_delivery_that_changes_nothing_leaves_the_very_same_state(
    projection: Projection[Any], data: st.DataObject
) -> None:
    events = data.draw(histories())
    state = folded(projection, events)
    for one in events:
        assert projection.evolve(state, one) is state


@of_each
@given(events=histories())
@laws
def test_the_version_is_the_newest_entry_seen(
    projection: Projection[Any], events: list[RecordedEvent]
) -> None:
    assert folded(projection, events).version == events[-1].entry_id
    assert folded(projection, events[::-1]).version == events[-1].entry_id


def routes_of(endpoint: Endpoint) -> dict[UUID, oracle.TrueRoute]:
    return {
        route.route_id: oracle.TrueRoute(
            (route.session_id, route.app, route.kernel_host, route.kernel_port, route.protocol),
            route.status,
            (route.errors, route.status_reason, route.drain_s),
            route.status_since,
            None if route.drained_at <= START else (route.drained_at, route.drained_reason),
            None if route.eviction_at <= START else (route.eviction_at, route.eviction_reason),
            route.traffic_ratio,
            route.started_at if route.started_at > START else None,
            route.health,
            route.health_reason,
            route.consecutive_failures,
            (route.traffic_status, route.traffic_reason),
            route.labels,
            (route.flapping, route.flapping_reason),
        )
        for route in endpoint.present_routes
    }


@given(events=histories())
@settings(laws, max_examples=examples(800))
def test_the_route_table_is_what_the_whole_history_says(events: list[RecordedEvent]) -> None:
    endpoint = endpoint_of(events)
    assert routes_of(endpoint) == oracle.present_routes(events)
    assert endpoint.is_destroyed == oracle.is_destroyed(events)
    assert (endpoint.traffic_status, endpoint.traffic_reason) == oracle.endpoint_traffic(events)
    assert (endpoint.split, endpoint.rollout, endpoint.split_reason) == oracle.traffic_split(events)
    assert endpoint.health_check == oracle.health_check(events)
    assert endpoint.name == oracle.name(events)
    assert endpoint.replicas == oracle.replicas(events)
    assert len(endpoint.failures) == oracle.retries(events)
    assert (endpoint.owner, endpoint.labels) == oracle.description(events)


@given(events=histories())
@settings(laws, max_examples=examples(800))
def test_the_health_state_is_what_the_whole_history_says(events: list[RecordedEvent]) -> None:
    state = health_of(events)
    truth = {} if oracle.is_destroyed(events) else oracle.present_routes(events)
    present = {route.route_id: route for route in state.routes.values() if route.listed_at > START}
    assert {one: route.health for one, route in present.items()} == {
        one: route.health for one, route in truth.items()
    }
    for route_id, route in present.items():
        own = oracle.own_history(events, route_id)
        assert route.since == (oracle.health_since(own) or START)
        assert [transition.at for transition in route.transitions] == [
            entry_id for entry_id, said in own if isinstance(said, ModelServiceStatusEvent)
        ]


@given(st.data())
@settings(laws, max_examples=examples(30))
def test_only_the_newest_transitions_are_kept_in_whatever_order_they_come(
    data: st.DataObject,
) -> None:
    statuses = data.draw(st.lists(st.booleans(), min_size=33, max_size=80))
    events = history(*(observed("healthy" if one else "unhealthy") for one in statuses), started())
    in_order = health_of(events)
    assert health_of(data.draw(deliveries_of(events))) == in_order
    [route] = in_order.routes.values()
    newest = [one.entry_id for one in events[:-1]][-TRANSITIONS_MAX:]
    assert [transition.at for transition in route.transitions] == newest
