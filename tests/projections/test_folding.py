"""Folding with what is overwritten left out: the same states as the plain fold's."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.entry.codec import decode_values
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent, fold
from projections.projection import Projection
from projections.replay import folding as folding_module
from projections.replay import raw_entry as raw_entry_module
from projections.replay.folding import Folding
from projections.route_table.route_table import ROUTE_TABLE
from tests.support import oracle
from tests.support.folding import folded, raw
from tests.support.histories import (
    PROJECTIONS,
    E,
    at,
    created,
    deliveries_of,
    histories,
    history,
    listed,
    observed,
    record,
    weighted,
)

of_each = pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)


@of_each
@given(events=histories(), chunk=st.integers(1, 30), data=st.data())
def test_leaving_out_what_is_overwritten_changes_nothing(
    projection: Projection[Any], events: list[RecordedEvent], chunk: int, data: st.DataObject
) -> None:
    expected = fold(projection.evolve, projection.initial(E), events)
    assert folded(projection, [raw(one) for one in events], chunk).states == {E: expected}
    held_at = data.draw(st.integers(1, 5))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(folding_module, "NEWEST_MAX", held_at)
        assert folded(projection, [raw(one) for one in events], chunk).states == {E: expected}


@given(events=histories())
def test_what_is_folded_is_what_the_whole_history_says(events: list[RecordedEvent]) -> None:
    state = folded(ROUTE_TABLE, [raw(one) for one in events], 7).states[E]
    true = oracle.present_routes(events)
    assert state.name == oracle.name(events)
    assert state.health_check == oracle.health_check(events)
    assert {
        route.route_id: (route.status, route.health, route.traffic_ratio)
        for route in state.present_routes
    } == {route_id: (one.status, one.health, one.traffic_ratio) for route_id, one in true.items()}


@of_each
@given(events=histories(), data=st.data())
def test_entries_that_come_in_any_order_and_often_fold_to_the_same(
    projection: Projection[Any], events: list[RecordedEvent], data: st.DataObject
) -> None:
    folding = Folding(projection, 0)
    folding._hold_back = False
    for one in data.draw(deliveries_of(events)):
        folding.take([raw(one)])
    assert folding.states == folded(projection, [raw(one) for one in events], 5).states


def test_an_overwritten_event_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[EntryId] = []

    def counting(entry_id: EntryId, partition: int, values: Sequence[bytes]) -> RecordedEvent:
        decoded.append(entry_id)
        return decode_values(entry_id, partition, values)

    monkeypatch.setattr(raw_entry_module, "decode_values", counting)
    events = history(
        created(), listed(record()), observed("healthy"), weighted(0.5), observed("unhealthy")
    )
    folded(ROUTE_TABLE, [raw(one) for one in events], 9)
    assert sorted(decoded) == [at(1), at(2), at(4), at(5)]


def test_unreadable_events_take_the_place_of_no_other_and_are_all_counted() -> None:
    events = [raw(one) for one in history(listed(record()), observed("healthy"), weighted(0.5))]
    later = history(created(), created(), created(), observed("unhealthy"), weighted(0.25))
    broken = [
        (
            entry_id,
            [part.replace(b'"unhealthy"', b'"no such"').replace(b"0.25", b"-1") for part in flat],
        )
        for entry_id, flat in map(raw, later[3:])
    ]
    good = raw(history(*[created()] * 5, weighted(0.75))[5])
    folding = folded(ROUTE_TABLE, [*events, *broken, good], 9)
    assert (folding.undecodable, folding.contested) == (2, set())
    [route] = folding.states[E].present_routes
    assert (route.health, route.traffic_ratio) == ("healthy", 0.75)


def test_only_the_endpoints_that_are_wanted_are_folded() -> None:
    mine, other = uuid4(), uuid4()
    entries = [
        raw(one)
        for one in history(
            created(endpoint_id=mine), created(endpoint_id=other), created(endpoint_id=mine)
        )
    ]
    folding = Folding(ROUTE_TABLE, 0, wants=lambda one: one == mine)
    folding.take(entries)
    folding.flush()
    assert set(folding.states) == {mine}
    assert folding.entries == 3
