"""Trace one endpoint: its events in order, with the changes that each made."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import msgspec

from events.entry.entry_id import END, START, EntryId
from events.entry.recorded import RecordedEvent
from events.errors import EventsError
from events.log.keys import partition_of
from projections.replay.folding import Folding
from projections.replay.partition_history import Source, raw_entries
from projections.replay.raw_entry import endpoint_of, recorded_of
from projections.replay.registers import Difference, differences


class TraceStep(msgspec.Struct, frozen=True):
    """One event, and what it changed.

    Attributes:
        recorded: The event.
        differences: The registers that it changed; none where newer events have set them.
        problem: Why it could not be folded, None where it could.
    """

    recorded: RecordedEvent
    differences: list[Difference]
    problem: str | None = None


async def endpoint_trace(
    log: Source,
    begin: Folding[Any],
    endpoint_id: UUID,
    after: EntryId = START,
    until: EntryId = END,
) -> AsyncGenerator[TraceStep]:
    """Yield the events of *endpoint_id* after *after*, up to *until*, with what each changed.

    Events up to *after* are folded without being yielded. The fold starts from *begin*: a
    snapshot's states, or nothing.
    """
    projection = begin.projection
    state = begin.states.get(endpoint_id) or projection.initial(endpoint_id)
    async for recorded in _events_of(log, endpoint_id, begin.position, until):
        before = state
        try:
            state = projection.evolve(before, recorded)
        except Exception as error:  # noqa: BLE001 - shown as the reason why nothing changed
            step = TraceStep(recorded, [], str(error))
        else:
            step = TraceStep(recorded, differences(before, state))
        if recorded.entry_id > after:
            yield step


async def _events_of(
    log: Source, endpoint_id: UUID, after: EntryId, until: EntryId
) -> AsyncGenerator[RecordedEvent]:
    """Yield the readable events of *endpoint_id*; others are not decoded."""
    partition = partition_of(endpoint_id, log.partitions)
    spelled: dict[str, bool] = {}
    async for chunk in raw_entries(log, partition, after, until):
        for raw in chunk:
            endpoint = endpoint_of(raw)
            if endpoint is None:
                continue
            ours = spelled.get(endpoint)
            if ours is None:
                ours = spelled[endpoint] = _is_same(endpoint, endpoint_id)
            if not ours:
                continue
            try:
                yield recorded_of(raw, partition)
            except EventsError:
                continue


def _is_same(endpoint: str, endpoint_id: UUID) -> bool:
    try:
        return UUID(endpoint) == endpoint_id
    except ValueError:
        return False
