"""The plan: what a rebuild will read, and how long and how much memory that takes."""

from math import exp
from time import perf_counter
from typing import Any

import msgspec

from events.entry_id import EntryId
from projections.replay.folding import NEWEST_MAX, Base, Folding
from projections.replay.past import CHUNK, Extent, Source, extent_of
from projections.store import ReadModelStore

SAMPLE = 10_000
"""Newest entries that are folded to measure."""

_PROCESS_BYTES = 70_000_000
_HELD_BYTES = 1_300
_STATE_FACTOR = 2.5
_SUBJECTS_MAX = 1e9
_WRITE_S = 0.000_03


class Pace(msgspec.Struct, frozen=True):
    """How fast entries are folded here, measured.

    Attributes:
        take_s: Seconds to read an entry and hold it back, or fold it where that cannot be.
        fold_s: Seconds to fold one that was held back.

    """

    take_s: float
    fold_s: float

    def seconds(self, entries: int, held: float) -> float:
        """Return how long it takes to fold *entries*, of which *held* are left to be folded."""
        return entries * self.take_s + held * self.fold_s


class Plan(msgspec.Struct, frozen=True):
    """What a rebuild of one partition will do.

    Attributes:
        partition: Which one.
        live: The live generation, None for none.
        since: Where the fold begins: a snapshot's position, or the start.
        until: Where the log ends now.
        entries: How many lie between.
        endpoints: Documents that there will be, about.
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
    sample, pace, held = await _measure(log, store, min(SAMPLE, extent.length))
    live = await store.live_generation()
    known = max(len(folding.states), 0 if live is None else await store.count(live))
    looked_at = sample.entries
    heads = await log.server.client.call("HLEN", log.keys.heads(store.partition))
    guessed = round(distinct(looked_at, len(sample.states), entries))
    endpoints = max(known, heads or guessed)
    routes = sum(len(state.routes) for state in sample.states.values())
    # Of each route the newest event of two types is held back, and a few of the endpoint's own.
    subjects = endpoints * (2 * routes / max(1, len(sample.states)) + 1)
    left = min(distinct(looked_at, held, entries), subjects)
    documents = [len(doc) for _, doc in sample.documents(list(sample.states)[:100])]
    document_bytes = sum(documents) / len(documents) if documents else 0
    return Plan(
        partition=store.partition,
        live=live,
        since=folding.position,
        until=extent.last,
        entries=entries,
        endpoints=endpoints,
        seconds=pace.seconds(entries, left) + endpoints * _WRITE_S,
        memory_bytes=_PROCESS_BYTES
        + round(endpoints * document_bytes * _STATE_FACTOR + min(left, NEWEST_MAX) * _HELD_BYTES),
        unknown=dict(sample.unknown),
        undecodable=sample.undecodable,
        sample=looked_at,
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


async def _measure(
    log: Source, store: ReadModelStore[Any], count: int
) -> tuple[Folding[Any], Pace, int]:
    stream, end = log.keys.events(store.partition), "+"
    sample: Folding[Any] = Folding(store.projection, store.partition, Base())
    began_at = perf_counter()
    while sample.entries < count:
        raw = await log.server.client.call(
            "XREVRANGE", stream, end, "-", "COUNT", min(CHUNK, count - sample.entries)
        )
        if not raw:
            break
        sample.take(raw[::-1])
        end = f"({raw[-1][0].decode()}"
    taken_at, held = perf_counter(), sample.held
    sample.flush()
    flushed_at = perf_counter()
    pace = Pace(
        (taken_at - began_at) / max(1, sample.entries), (flushed_at - taken_at) / max(1, held)
    )
    return sample, pace, held
