"""The past: as of any entry, what changed between two, and the trace of one endpoint."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings

from events import START, EventLog, RecordedEvent
from events.catalogue.event import Event
from projections.errors import HistoryMissingError
from projections.projection import Projection
from projections.replay.endpoint_trace import endpoint_trace
from projections.replay.folding import Folding
from projections.replay.registers import differences
from projections.replay.replay import only
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.as_of import as_of, changes_between
from projections.snapshots.snapshot_store import Snapshots
from tests.support import oracle
from tests.support.appending import Appending
from tests.support.histories import (
    PROJECTIONS,
    E,
    created,
    destroyed,
    endpoint_of,
    failed,
    histories,
    listed,
    observed,
    record,
    recorded,
    started,
    weighted,
)
from tests.support.projectors import store_of

of_each = pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)
LIFE: tuple[Event, ...] = (
    created(),
    listed(record(0), record(1)),
    started(),
    observed("healthy"),
    weighted(0.5),
    failed(1, "no GPU"),
    listed(record(0)),
    observed("unhealthy", reason="HTTP 503"),
    destroyed(),
)


async def lived(log: EventLog) -> list[RecordedEvent]:
    ids = (await log.append(*LIFE)).entry_ids
    return [recorded(event, entry_id) for event, entry_id in zip(LIFE, ids, strict=True)]


def said(history: Sequence[RecordedEvent]) -> Any:  # noqa: ANN401
    routes = oracle.present_routes(history)
    return (
        oracle.name(history),
        oracle.is_destroyed(history),
        {one: (true.status, true.health, true.traffic_ratio) for one, true in routes.items()},
    )


def told(state: Any) -> Any:  # noqa: ANN401
    routes = {one.route_id: one for one in state.present_routes}
    return (
        state.name,
        state.is_destroyed,
        {one: (route.status, route.health, route.traffic_ratio) for one, route in routes.items()},
    )


@pytest.mark.parametrize("snapshot_at", [None, 0, 4], ids=["none", "at the start", "between"])
async def test_as_of_every_entry_is_what_its_history_until_then_says(
    log: EventLog, snapshots: Snapshots, snapshot_at: int | None
) -> None:
    history: list[RecordedEvent] = []
    for place, event in enumerate(LIFE):
        if place == snapshot_at:
            await snapshots.take(store_of(log))
        [entry_id] = (await log.append(event)).entry_ids
        history.append(recorded(event, entry_id))
    assert (await as_of(log, ROUTE_TABLE, snapshots, START)).states == {}
    for place, one in enumerate(history):
        whole = await as_of(log, ROUTE_TABLE, snapshots, one.entry_id)
        alone = await as_of(log, ROUTE_TABLE, snapshots, one.entry_id, only(E))
        assert told(whole.states[E]) == said(history[: place + 1])
        assert alone.states == whole.states


@of_each
async def test_what_changed_between_two_moments_is_the_difference_of_the_two(
    log: EventLog, snapshots: Snapshots, projection: Projection[Any]
) -> None:
    appending = Appending(log, 4, [uuid4() for _ in range(4)])
    await appending.run(30)
    since, until = (appending.acknowledged[place].entry_id for place in (20, 40))
    await snapshots.take(store_of(log, projection))
    before = (await as_of(log, projection, snapshots, since)).states
    after = (await as_of(log, projection, snapshots, until)).states
    changes = await changes_between(log, projection, snapshots, (since, until))
    other = {one for one in after if before.get(one) != after[one]}
    assert {one.endpoint_id for one in changes} == other
    happened = {one.entry_id for one in appending.acknowledged if since < one.entry_id <= until}
    for change in changes:
        assert change.before == before.get(change.endpoint_id)
        assert change.after == after[change.endpoint_id]
        assert {one.register.at for one in change.differences} <= happened


async def test_nothing_changes_between_a_moment_and_itself(
    log: EventLog, snapshots: Snapshots
) -> None:
    at = (await lived(log))[3].entry_id
    assert await changes_between(log, ROUTE_TABLE, snapshots, (at, at)) == []


async def test_the_past_of_a_trimmed_log_is_not_made_up(
    log: EventLog, snapshots: Snapshots
) -> None:
    history = await lived(log)
    cut = history[4].entry_id
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(cut))
    with pytest.raises(HistoryMissingError):
        await as_of(log, ROUTE_TABLE, snapshots, history[-1].entry_id)


async def test_a_trace_tells_what_each_event_changed(log: EventLog) -> None:
    history = await lived(log)
    steps = [step async for step in endpoint_trace(log, Folding(ROUTE_TABLE, 0), E)]
    assert [step.recorded.entry_id for step in steps] == [one.entry_id for one in history]
    [weight] = steps[4].differences
    assert weight.before is not None
    assert weight.after is not None
    assert (weight.register.name, weight.before.value, weight.after.value) == (
        "traffic_ratio",
        1.0,
        0.5,
    )
    gone = {one.register.route_id for one in steps[6].differences if not one.register.value}
    assert record(1).route_id in gone
    assert all(one.register.at == history[6].entry_id for one in steps[6].differences)


async def test_a_trace_can_begin_and_end_anywhere(log: EventLog) -> None:
    history = await lived(log)
    await log.append(created(endpoint_id=uuid4()))
    after, until = history[2].entry_id, history[5].entry_id
    steps = [step async for step in endpoint_trace(log, Folding(ROUTE_TABLE, 0), E, after, until)]
    assert [step.recorded.entry_id for step in steps] == [one.entry_id for one in history[3:6]]
    assert steps[0].differences[0].register.name == "health"


async def test_a_trace_from_a_snapshot_on_tells_the_same_and_reads_nothing_before_it(
    log: EventLog, snapshots: Snapshots
) -> None:
    history = await lived(log)
    after, at = history[2].entry_id, history[1].entry_id
    whole = [step async for step in endpoint_trace(log, Folding(ROUTE_TABLE, 0), E, after)]
    folding = await as_of(log, ROUTE_TABLE, snapshots, at)
    await snapshots.keep(folding)
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(at.after()))
    begin = await snapshots.newest(ROUTE_TABLE, after, only(E))
    assert begin.position == at
    assert [step async for step in endpoint_trace(log, begin, E, after)] == whole


@settings(deadline=None)
@given(events=histories())
def test_the_steps_of_a_history_name_only_the_event_that_made_them(
    events: list[RecordedEvent],
) -> None:
    for earlier, later in pairwise([events[:end] for end in range(1, len(events) + 1)]):
        changed = differences(endpoint_of(earlier), endpoint_of(later))
        by = {one.register.at for one in changed}
        assert by <= {later[-1].entry_id}


@settings(deadline=None)
@given(events=histories())
def test_states_that_differ_have_a_register_that_does(events: list[RecordedEvent]) -> None:
    states = [endpoint_of(events[:end]) for end in range(len(events) + 1)]
    for one, other in pairwise(states):
        assert bool(differences(one, other, with_bookkeeping=True)) == (one != other)
