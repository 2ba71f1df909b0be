"""The pace: how fast a rebuild goes here, measured on a little of what it reads and makes."""

from statistics import median
from time import perf_counter
from typing import Any, Generic

import msgspec

from projections.read_model.store import ReadModelStore, State
from projections.replay.folding import Base, Folding
from projections.replay.source import CHUNK, Source

SAMPLE = 10_000
"""Newest entries that are folded to measure."""

DOCUMENTS = 200
"""Documents that are read and encoded to measure."""

_CHUNK_MIN = 100
"""Fewer entries measure the way to the server, not the entries."""

_TAKE_S, _FOLD_S = 0.000_005, 0.000_010
"""What is assumed where there are too few to measure, such as behind a trim."""

_SEND_BYTE_S = 0.000_000_004
_FOLD_FACTOR = 1.4
"""What is held back until the end is more for each endpoint, and colder, than in a sample."""

_COMPARE_FACTOR = 1.5
"""A document that is compared is read among many others, and stays in memory."""


class Pace(msgspec.Struct, frozen=True):
    """How long each part of a rebuild takes.

    Attributes:
        take_s: Seconds to read an entry and hold it back, or fold it where that cannot be.
        fold_s: Seconds to fold one that was held back.
        write_s: Seconds to encode a document and write it.
        compare_s: Seconds to read a live document and compare it; 0 where none is live.
    """

    take_s: float
    fold_s: float
    write_s: float = 0.0
    compare_s: float = 0.0

    def folding_s(self, entries: int, held: float) -> float:
        """Return how long it takes to fold *entries*, of which *held* are left to be folded."""
        return entries * self.take_s + held * self.fold_s

    def documents_s(self, count: int) -> float:
        """Return how long it takes to write *count* documents and compare them."""
        return count * (self.write_s + self.compare_s)


class Sample(msgspec.Struct, Generic[State], frozen=True):
    """What was looked at.

    Attributes:
        folding: The newest entries, folded.
        held: How many of them were held back.
        document_bytes: How long a document is.
        pace: How fast it went.
    """

    folding: Folding[State]
    held: int
    document_bytes: float
    pace: Pace


async def sample_of(
    log: Source, store: ReadModelStore[State], live: int | None, count: int
) -> Sample[State]:
    """Fold the newest *count* entries, read some documents of generation *live*, encode them."""
    folding: Folding[State] = Folding(store.projection, store.partition, Base())
    take_s = await _take_newest(log, folding, count)
    held, began_at = folding.held, perf_counter()
    folding.flush()
    fold_s = (perf_counter() - began_at) / held if held >= _CHUNK_MIN else _FOLD_S
    states, compare_s = await _some_states(store, folding, live)
    began_at = perf_counter()
    documents = [store.projection.encode(state, 1) for state in states]
    encode_s = (perf_counter() - began_at) / max(1, len(documents))
    document_bytes = sum(map(len, documents)) / max(1, len(documents))
    pace = Pace(
        take_s=take_s,
        fold_s=_FOLD_FACTOR * fold_s,
        write_s=encode_s + document_bytes * _SEND_BYTE_S,
        compare_s=compare_s,
    )
    return Sample(folding, held, document_bytes, pace)


async def _take_newest(log: Source, folding: Folding[Any], count: int) -> float:
    """Take the newest *count* entries, and return the seconds that one takes.

    The median of the chunks: the first one costs more, and a machine has its moments.
    """
    stream, end = log.keys.events(folding.partition), "+"
    each_s: list[float] = []
    while folding.entries < count:
        began_at = perf_counter()
        raw = await log.server.client.call(
            "XREVRANGE", stream, end, "-", "COUNT", min(CHUNK, count - folding.entries)
        )
        if not raw:
            break
        folding.take(raw[::-1])
        if len(raw) >= _CHUNK_MIN:
            each_s.append((perf_counter() - began_at) / len(raw))
        end = f"({raw[-1][0].decode()}"
    return median(each_s) if each_s else _TAKE_S


async def _some_states(
    store: ReadModelStore[State], folding: Folding[State], live: int | None
) -> tuple[list[Any], float]:
    """Return some states, as long as they will be, and the seconds to read one that is live."""
    endpoints = list(folding.states)[:DOCUMENTS]
    if live is None or not endpoints:
        return [folding.states[one] for one in endpoints], 0.0
    began_at = perf_counter()
    loaded = await store.load(live, [str(one) for one in endpoints])
    took_s = perf_counter() - began_at
    states = [state for _, state in loaded.values()]
    return states or list(folding.states.values())[:DOCUMENTS], _COMPARE_FACTOR * took_s / max(
        1, len(loaded)
    )
