"""Payloads that are left as they are spelled: what the codec cannot read is told all the same."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue.event import Event
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import EndpointRouteListUpdatedEvent
from events.entry.codec import decode_values
from events.entry.entry_id import EntryId
from events.entry.entry_line import RawEntry
from events.errors import UndecodableEntryError
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.folding import folded, raw
from tests.support.histories import at, history, listed, observed, record

_VALUES: st.SearchStrategy[object] = st.sampled_from(
    [None, "None", "", "a b", "'", 7, -1, {}, "/", "None None"]
)
_FIELDS = ("endpoint_id", "route_id", "session_id", "kernel_host", "new_status", "app")


def _entry(number: int, recorded: RawEntry, change: Callable[[Any], object]) -> RawEntry:
    flat = list(recorded[1])
    payload = msgspec.json.decode(flat[9])
    change(payload)
    flat[9] = msgspec.json.encode(payload)
    return str(at(number)).encode(), flat


def _cannot_be_read(entries: Sequence[RawEntry]) -> int:
    count = 0
    for entry_id, flat in entries:
        try:
            decode_values(EntryId.parse(entry_id), 0, flat[1::2])
        except UndecodableEntryError:
            count += 1
    return count


@given(data=st.data())
def test_each_entry_that_cannot_be_read_is_counted_whatever_it_replaces(
    data: st.DataObject,
) -> None:
    [status, routes] = map(
        raw, history(observed("healthy"), listed(record(kernel_host="10.0.0.1")))
    )

    def spoilt(payload: dict[str, Any]) -> None:
        holder = data.draw(st.sampled_from([payload, *payload.get("routes", [])]))
        holder[data.draw(st.sampled_from(_FIELDS))] = data.draw(_VALUES)

    entries = [
        _entry(number, data.draw(st.sampled_from([status, routes])), change)
        for number, change in enumerate(
            data.draw(st.lists(st.sampled_from([spoilt, lambda _: None]), max_size=8)), start=1
        )
    ]
    assert folded(ROUTE_TABLE, entries, 3).undecodable == _cannot_be_read(entries)


def _no_session(payload: dict[str, Any]) -> None:
    payload["session_id"] = None


def _session_none(payload: dict[str, Any]) -> None:
    payload["session_id"] = "None"


def _two_routes(payload: dict[str, Any]) -> None:
    [route] = payload["routes"]
    again = route | {"route_id": "0198b2a0-7a10-7cc3-8a51-1d2c3b4a5f60"}
    payload["routes"] = sorted([route, again], key=lambda one: str(one["route_id"]))


def _one_route_spelled_as_two(payload: dict[str, Any]) -> None:
    _two_routes(payload)
    first, second = payload["routes"]
    both = [
        f"{one['route_id']} {one['session_id']!r} {one['kernel_host']!r}" for one in (first, second)
    ]
    payload["routes"] = [first | {"route_id": " ".join(both).rsplit(" ", 2)[0]}]


def _each_route_twice(payload: dict[str, Any]) -> None:
    payload["routes"] *= 2


@pytest.mark.parametrize(
    ("event", "good", "bad"),
    [
        (observed("healthy"), _no_session, _session_none),
        (listed(record()), _two_routes, _one_route_spelled_as_two),
        (listed(record()), _two_routes, _each_route_twice),
    ],
    ids=["no id and None", "two routes in one id", "a route twice"],
)
def test_what_looks_like_another_in_text_is_read_for_itself(
    event: Event, good: Callable[[Any], None], bad: Callable[[Any], None]
) -> None:
    assert isinstance(event, ModelServiceStatusEvent | EndpointRouteListUpdatedEvent)
    [recorded] = map(raw, history(event))
    entries = [_entry(1, recorded, good), _entry(2, recorded, bad), _entry(3, recorded, good)]
    folding = folded(ROUTE_TABLE, entries, 9)
    assert (folding.undecodable, _cannot_be_read(entries)) == (1, 1)
