"""Adds the groups that a partition lacks: what is kept for them, and what waits for them."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from consumers.doctor.log_facts import (
    Amount,
    GroupFacts,
    PartitionFacts,
    read_kept,
    read_lag,
)
from consumers.doctor.server_queries import ServerQueries
from consumers.shipped import GROUPS
from events.entry.entry_id import START
from events.log.keys import Keys


async def with_missing_groups(
    queries: ServerQueries, keys: Keys, partitions: Sequence[PartitionFacts], shipped: Iterable[str]
) -> list[PartitionFacts]:
    """Return *partitions*, each with what is kept for the groups that it lacks.

    It should have all groups that can be run, among them the *shipped* ones, which read every
    partition, and all groups that exist or have a kept position in any partition.
    """
    everywhere = set(GROUPS)
    for facts in partitions:
        everywhere |= facts.groups.keys() | facts.kept_positions.groups
    wanted = set(shipped)
    return [await _with_missing(queries, keys, facts, everywhere, wanted) for facts in partitions]


async def _with_missing(
    queries: ServerQueries,
    keys: Keys,
    facts: PartitionFacts,
    everywhere: AbstractSet[str],
    shipped: AbstractSet[str],
) -> PartitionFacts:
    is_told = queries.was_told("XINFO GROUPS", keys.events(facts.partition))
    if facts.kind == "unknown" or not is_told:
        return facts
    missing = {}
    for name in sorted(everywhere - facts.groups.keys()):
        kept = await read_kept(queries, keys, facts.partition, facts.kept_positions, name)
        if name in shipped:
            kept = msgspec.structs.replace(kept, lag=await _lag(queries, facts, kept))
        missing[name] = kept
    return msgspec.structs.replace(facts, missing=missing)


async def _lag(queries: ServerQueries, facts: PartitionFacts, kept: GroupFacts) -> Amount:
    """Return how much a missing group will read when it begins again at its kept position."""
    start = kept.kept_position or START
    if facts.stream is not None and start > facts.stream.last:
        start = START  # the position is of another history: the group begins with the first entry
    return await read_lag(queries, facts.stream, start)
