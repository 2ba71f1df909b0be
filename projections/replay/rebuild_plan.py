"""Estimate what a rebuild will read and write, and how much memory that takes."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from events.entry.entry_id import EntryId
from events.entry.entry_line import RawEntry
from events.history.history import History
from events.server.reply import reply
from projections.read_model.store import ReadModelStore
from projections.replay.folding import NEWEST_MAX, Folding
from projections.replay.partition_history import Source, extent_of

LOOKED_AT = 1_000
"""Newest entries that are folded to learn their types and the size of the states."""

_PROCESS_BYTES = 75_000_000
_HELD_BYTES = 1_000
_STATE_BYTES = 1_500
_STATE_FACTOR = 0.3
"""A state takes `_STATE_BYTES` plus this share of its document, whose long parts are packed."""


class RebuildPlan(msgspec.Struct, frozen=True):
    """What a rebuild of one partition will do.

    Attributes:
        partition: The partition.
        live: The live generation, None where there is none.
        since: Where the fold begins: a snapshot's position, or the start.
        until: Where the log ends now.
        entries: The number of entries between them.
        endpoints: The expected number of documents: where events were appended without our own
            append, only the live ones and those in the entries looked at are known.
        memory_bytes: About the most memory that this process takes, as if everything that may be
            held back of each route were.
        unknown: Type name -> number of the entries looked at, for types that are not known here.
        undecodable: Entries looked at that cannot be read.
        looked_at: How many of the newest entries were looked at.
    """

    partition: int
    live: int | None
    since: EntryId
    until: EntryId
    entries: int
    endpoints: int
    memory_bytes: int
    unknown: dict[str, int]
    undecodable: int
    looked_at: int


async def rebuild_plan(
    log: Source, store: ReadModelStore[Any], folding: Folding[Any]
) -> RebuildPlan:
    """Count what a rebuild from *folding* on will read, and look at the newest entries."""
    extent = await extent_of(log, store.partition)
    entries = extent.count_after(folding.appended)
    live = await store.live_generation()
    seen = Folding(store.projection, store.partition)
    seen.take(await _newest(log, store.partition))
    seen.flush()
    endpoints = max(
        len(folding.states),
        len(seen.states),
        0 if live is None else await store.count(live),
        reply(await log.server.client.call("HLEN", log.keys.heads(store.partition)), int),
    )
    states = await _typical_states(store, live, seen)
    return RebuildPlan(
        partition=store.partition,
        live=live,
        since=folding.position,
        until=extent.last,
        entries=entries,
        endpoints=endpoints,
        memory_bytes=_memory_bytes(store, states, entries, endpoints, 1 if live is None else 2),
        unknown=dict(seen.unknown),
        undecodable=seen.undecodable,
        looked_at=seen.entries,
    )


async def _newest(log: Source, partition: int) -> Sequence[RawEntry]:
    """Return the newest `LOOKED_AT` entries, oldest first."""
    history = log if isinstance(log, History) else History(log, on_gap=lambda _gap: None)
    async with aclosing(history.raw_chunks_back(partition, count=LOOKED_AT)) as chunks:
        async for chunk in chunks:
            return chunk[::-1]
    return []


async def _typical_states(
    store: ReadModelStore[Any], live: int | None, seen: Folding[Any]
) -> list[Any]:
    """Return the live states of the endpoints seen, or the states seen where none are live."""
    loaded = {} if live is None else await store.load(live, list(map(str, seen.states)))
    return [state for _, state in loaded.values()] or list(seen.states.values())


def _memory_bytes(
    store: ReadModelStore[Any], states: Sequence[Any], entries: int, endpoints: int, copies: int
) -> int:
    """Return about the most memory that the process takes, with each state *copies* times."""
    count = max(1, len(states))
    document_bytes = sum(len(store.projection.encode(state, 1)) for state in states) / count
    # Held back are the newest event of two types for each route, and a few of the endpoint's own.
    held_each = 2 * sum(len(getattr(state, "routes", ())) for state in states) / count + 1
    held = min(entries, endpoints * held_each, NEWEST_MAX)
    states_bytes = endpoints * (_STATE_BYTES + document_bytes * _STATE_FACTOR)
    return _PROCESS_BYTES + round(copies * states_bytes + held * _HELD_BYTES)
