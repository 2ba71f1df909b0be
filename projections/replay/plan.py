"""The plan: what a rebuild will read, and how long and how much memory that takes."""

from math import exp
from typing import Any

import msgspec

from events.entry.entry_id import EntryId
from projections.read_model.store import ReadModelStore
from projections.replay.folding import NEWEST_MAX, Folding
from projections.replay.sample import SAMPLE, Pace, sample_of
from projections.replay.source import Extent, Source, extent_of

_PROCESS_BYTES = 75_000_000
_HELD_BYTES = 1_000
_STATE_BYTES = 1_500
_STATE_FACTOR = 0.3
"""A state is that much, and of a longer document so much more: what is long in it is packed."""

_SUBJECTS_MAX = 1e9


class Plan(msgspec.Struct, frozen=True):
    """What a rebuild of one partition will do.

    Attributes:
        partition: Which one.
        live: The live generation, None for none.
        since: Where the fold begins: a snapshot's position, or the start.
        until: Where the log ends now.
        entries: How many lie between.
        endpoints: Documents that there will be, about.
        held: How many of them are held back in the end, about.
        seconds: How long it takes, about.
        memory_bytes: How much memory this process takes, about.
        unknown: Types of the sample that are not known here, and how many entries they have in it.
        undecodable: Entries of the sample that cannot be read.
        sample: Entries that were looked at.
        pace: What was measured.
    """

    partition: int
    live: int | None
    since: EntryId
    until: EntryId
    entries: int
    endpoints: int
    held: float
    seconds: float
    memory_bytes: int
    unknown: dict[str, int]
    undecodable: int
    sample: int
    pace: Pace


async def plan_of(log: Source, store: ReadModelStore[Any], folding: Folding[Any]) -> Plan:
    """Measure a few of the newest entries, and say what a rebuild from *folding* on will take."""
    extent = await extent_of(log, store.partition)
    entries = _entries(extent, folding)
    live = await store.live_generation()
    sample = await sample_of(log, store, live, min(SAMPLE, extent.length))
    seen, pace = sample.folding, sample.pace
    known = max(len(folding.states), 0 if live is None else await store.count(live))
    heads = await log.server.client.call("HLEN", log.keys.heads(store.partition))
    guessed = round(distinct(seen.entries, len(seen.states), entries))
    endpoints = max(known, heads or guessed)
    routes = sum(len(state.routes) for state in seen.states.values())
    # Of each route the newest event of two types is held back, and a few of the endpoint's own.
    subjects = endpoints * (2 * routes / max(1, len(seen.states)) + 1)
    held = min(distinct(seen.entries, sample.held, entries), subjects)
    states_bytes = endpoints * (_STATE_BYTES + sample.document_bytes * _STATE_FACTOR)
    return Plan(
        partition=store.partition,
        live=live,
        since=folding.position,
        until=extent.last,
        entries=entries,
        endpoints=endpoints,
        held=held,
        seconds=pace.folding_s(entries, held) + pace.documents_s(endpoints),
        memory_bytes=_PROCESS_BYTES
        + round((1 if live is None else 2) * states_bytes + min(held, NEWEST_MAX) * _HELD_BYTES),
        unknown=dict(seen.unknown),
        undecodable=seen.undecodable,
        sample=seen.entries,
        pace=pace,
    )


def distinct(entries: int, found: int, wanted: float) -> float:
    """Say how many different ones *wanted* entries have, where *entries* have *found* of them.

    As if each came as often as the others: found = all * (1 - exp(-entries / all)).
    """
    if not entries or not found:
        return 0.0
    if found >= entries:
        return wanted
    least, most = float(found), _SUBJECTS_MAX
    while most - least > 1:
        middle = (least + most) / 2
        if middle * (1 - exp(-entries / middle)) < found:
            least = middle
        else:
            most = middle
    return most * (1 - exp(-wanted / most))


def _entries(extent: Extent, folding: Folding[Any]) -> int:
    if folding.appended is None:
        return extent.length
    return max(0, min(extent.length, extent.added - folding.appended))
