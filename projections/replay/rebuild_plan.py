"""What a rebuild will read and write, and how much memory that takes."""

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
"""Newest entries that are folded to see of which types and how large they are."""

_PROCESS_BYTES = 75_000_000
_HELD_BYTES = 1_000
_STATE_BYTES = 1_500
_STATE_FACTOR = 0.3
"""A state is that much, and of a longer document so much more: what is long in it is packed."""


class RebuildPlan(msgspec.Struct, frozen=True):
    """What a rebuild of one partition will do.

    Attributes:
        partition: Which one.
        live: The live generation, None for none.
        since: Where the fold begins: a snapshot's position, or the start.
        until: Where the log ends now.
        entries: How many lie between.
        endpoints: Documents that there will be, as far as it is known: where events were appended
            without our own append, the live ones and those looked at.
        memory_bytes: How much memory this process takes at most, about: as if of each route all
            that may be held back was.
        unknown: Types that are not known here, and how many of the entries looked at have them.
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
    """Count what a rebuild from *folding* on will read, and look at the newest of it."""
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
    """Return the live states of the endpoints seen, or, without any, what was seen of them."""
    loaded = {} if live is None else await store.load(live, list(map(str, seen.states)))
    return [state for _, state in loaded.values()] or list(seen.states.values())


def _memory_bytes(
    store: ReadModelStore[Any], states: Sequence[Any], entries: int, endpoints: int, copies: int
) -> int:
    """Return about how much memory the process takes at most, each state *copies* times."""
    count = max(1, len(states))
    document_bytes = sum(len(store.projection.encode(state, 1)) for state in states) / count
    # Of each route the newest event of two types is held back, and a few of the endpoint's own.
    held_each = 2 * sum(len(getattr(state, "routes", ())) for state in states) / count + 1
    held = min(entries, endpoints * held_each, NEWEST_MAX)
    states_bytes = endpoints * (_STATE_BYTES + document_bytes * _STATE_FACTOR)
    return _PROCESS_BYTES + round(copies * states_bytes + held * _HELD_BYTES)
