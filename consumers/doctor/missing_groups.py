"""The groups that a partition does not have: what is kept for them, and what waits for them."""

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
    """Return *partitions*, each with what is kept for the groups that it does not have.

    They are the *shipped* ones, which read every partition, others that we know of, and those that
    are, or once stood, in any partition.
    """
    everywhere = set(GROUPS)
    for one in partitions:
        everywhere |= one.groups.keys() | one.kept_positions.groups
    wanted = set(shipped)
    return [await _with_missing(queries, keys, one, everywhere, wanted) for one in partitions]


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
    """Return how much a group will be given that begins anew where it once stood."""
    stood = kept.kept_position or START
    if facts.stream is not None and stood > facts.stream.last:
        stood = START  # that was in another history: it begins with the first entry of this one
    return await read_lag(queries, facts.stream, stood)
