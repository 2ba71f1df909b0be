"""Folding what a replay reads: entries as they lie in Redis."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from events.entry.codec import encode
from events.entry.entry_line import RawEntry
from events.entry.recorded import RecordedEvent
from projections.projection import Projection
from projections.replay.folding import Folding


def raw(recorded: RecordedEvent) -> RawEntry:
    fields = encode(recorded.event, UUID(int=1), "test")
    return str(recorded.entry_id).encode(), [part for pair in fields.items() for part in pair]


def folded(projection: Projection[Any], entries: Sequence[RawEntry], chunk: int) -> Folding[Any]:
    folding = Folding(projection, 0)
    for start in range(0, len(entries), chunk):
        folding.take(entries[start : start + chunk])
    folding.flush()
    return folding
