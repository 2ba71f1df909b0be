"""Gathered transitions: what comes of them is what comes of their events one by one."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.entry.codec import decode, encode
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry, Metadata, fold
from events.errors import EventsError
from projections.health_state.endpoint_health import EndpointHealth
from projections.health_state.health_state import HEALTH_STATE
from projections.health_state.transitions import TRANSITIONS_MAX
from projections.replay.folding import Folding
from projections.replay.partition_history import RawEntry
from tests.support.folding import folded, raw
from tests.support.histories import (
    ROUTES,
    SESSIONS,
    E,
    at,
    history,
    listed,
    observed,
    record,
    started,
)

SICK = observed("unhealthy", session_id=SESSIONS[0], reason="HTTP 500", consecutive_failures=3)
PAYLOAD: dict[str, Any] = msgspec.json.decode(encode(SICK, UUID(int=1), "test")[b"payload"])

VALUES: tuple[object, ...] = (
    *(None, True, -1, 0, 2, 1.5, 2**64, [], {}, "", "no"),
    *(str(E), E.hex, str(E).upper(), f"{{{E}}}", f" {E}", str(ROUTES[0]), f"{E} {ROUTES[0]}"),
    *("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+02:00", "2026-01-02T03:04:05"),
    *("healthy", "degraded", "x" * 1_024, "x" * 1_025),
)


def entry_of(payload: Any, place: int, metadata: bytes | None = None) -> RawEntry:  # noqa: ANN401
    fields = encode(SICK, UUID(int=1), "test") | {b"payload": msgspec.json.encode(payload)}
    if metadata is not None:
        fields[b"metadata"] = metadata
    return str(at(place)).encode(), [part for pair in fields.items() for part in pair]


def one_by_one(entries: list[RawEntry]) -> tuple[dict[UUID, EndpointHealth], int]:
    """Fold without anything held back."""
    folding = Folding(HEALTH_STATE, 0)
    folding._hold_back = False
    folding.take(entries)
    return folding.states, folding.undecodable


@pytest.mark.parametrize("name", [*PAYLOAD, "unknown"])
def test_what_is_gathered_is_what_the_codec_reads(name: str) -> None:
    # The ids of the first are known to be ids when the others come.
    payloads = [PAYLOAD, *(PAYLOAD | {name: value} for value in VALUES), PAYLOAD]
    entries = [entry_of(payload, place) for place, payload in enumerate(payloads, 1)]
    for start in range(2):
        folding = folded(HEALTH_STATE, entries[start:], 99)
        assert (folding.states, folding.undecodable) == one_by_one(entries[start:])
        assert folding.contested == set()


@given(st.sets(st.sampled_from(list(PAYLOAD))))
def test_what_lacks_fields_is_gathered_where_the_codec_reads_it(lacks: set[str]) -> None:
    entries = [
        entry_of(PAYLOAD, 1),
        entry_of({name: value for name, value in PAYLOAD.items() if name not in lacks}, 2),
    ]
    folding = folded(HEALTH_STATE, entries, 9)
    assert (folding.states, folding.undecodable) == one_by_one(entries)


@pytest.mark.parametrize(
    "metadata", [b"", b"{}", b"[]", b"{", msgspec.json.encode(Metadata(request_id="7"))]
)
def test_metadata_that_the_codec_refuses_is_refused(metadata: bytes) -> None:
    entries = [entry_of(PAYLOAD, 1), entry_of(PAYLOAD, 2, metadata)]
    fields = dict(zip(entries[1][1][::2], entries[1][1][1::2], strict=True))
    try:
        decode(Entry(at(2), 0, fields))
        readable = 2
    except EventsError:
        readable = 1
    folding = folded(HEALTH_STATE, entries, 9)
    assert len(folding.states[E].routes[ROUTES[0]].transitions) == readable
    assert folding.undecodable == 2 - readable


@pytest.mark.parametrize("chunk", [1, 7, 500])
def test_of_many_the_newest_are_kept_as_they_are_one_by_one(chunk: int) -> None:
    says = [
        observed("healthy" if n % 3 else "unhealthy", route=n % 2, reason=f"{n % 70}")
        for n in range(300)
    ]
    events = history(listed(record(0)), *says[:150], started(), *says[150:])
    folding = folded(HEALTH_STATE, [raw(one) for one in events], chunk)
    expected = fold(HEALTH_STATE.evolve, HEALTH_STATE.initial(E), events)
    assert folding.states == {E: expected}
    assert len(expected.routes[ROUTES[1]].transitions) == TRANSITIONS_MAX


def test_as_many_are_kept_where_entry_ids_are_long() -> None:
    _, flat = entry_of(PAYLOAD, 1)
    stamps = [EntryId(2**63 + n, 2**63 + n) for n in range(50)]
    folding = folded(HEALTH_STATE, [(str(one).encode(), flat) for one in stamps], 9)
    transitions = folding.states[E].routes[ROUTES[0]].transitions
    assert [one.at for one in transitions] == stamps[-TRANSITIONS_MAX:]


def test_a_gathering_does_not_grow_with_the_events_of_a_route() -> None:
    assert HEALTH_STATE.gathering is not None
    gathering = HEALTH_STATE.gathering(set())
    payload = msgspec.json.encode(PAYLOAD)
    for seq in range(5_000):
        assert gathering.add(b"1764050000000-%d" % seq, payload)
    assert len(gathering) == 2
    [run] = gathering._runs.values()  # type: ignore[attr-defined]
    assert TRANSITIONS_MAX * 20 <= len(run) <= 1_100


def test_an_endpoint_that_is_kept_apart_is_not_gathered() -> None:
    assert HEALTH_STATE.gathering is not None
    gathering = HEALTH_STATE.gathering({str(E)})
    assert not gathering.add(b"7-1", msgspec.json.encode(PAYLOAD))
    assert list(gathering.taken()) == []
