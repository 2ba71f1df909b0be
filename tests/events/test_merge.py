"""Entries of several partitions, read as one sequence."""

from collections.abc import AsyncGenerator

import anyio
from hypothesis import given
from hypothesis import strategies as st

from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.log.merge import by_entry_id, merged

# Few values, so that partitions share ids and ids share milliseconds.
ids = st.builds(EntryId, st.integers(1, 6), st.integers(0, 3))
partitions = st.lists(st.lists(ids, unique=True).map(sorted), max_size=5)


async def chunked(
    partition: int, entry_ids: list[EntryId], size: int
) -> AsyncGenerator[list[Entry]]:
    """Yield the entries of a partition in chunks of *size*, with empty ones in between."""
    for at in range(0, len(entry_ids), size):
        yield []
        yield [Entry(entry_id, partition, {}) for entry_id in entry_ids[at : at + size]]


@given(held=partitions, size=st.integers(1, 4))
async def test_merged_partitions_are_all_their_entries_sorted_by_id(
    held: list[list[EntryId]], size: int
) -> None:
    sources = [chunked(partition, own, size) for partition, own in enumerate(held)]
    pairs = [(entry.entry_id, entry.partition) async for entry in merged(sources)]
    assert pairs == sorted((one, place) for place, own in enumerate(held) for one in own)


@given(pairs=st.lists(st.tuples(ids, st.integers(0, 3)), unique=True))
async def test_entries_are_sorted_by_id_and_within_one_id_by_partition(
    pairs: list[tuple[EntryId, int]],
) -> None:
    entries = by_entry_id(Entry(entry_id, partition, {}) for entry_id, partition in pairs)
    assert [(entry.entry_id, entry.partition) for entry in entries] == sorted(pairs)


async def test_a_merge_that_is_left_early_closes_its_sources() -> None:
    closed = []

    async def endless(partition: int) -> AsyncGenerator[list[Entry]]:
        ms = 0
        try:
            while True:
                ms += 1
                yield [Entry(EntryId(ms, 0), partition, {})]
                await anyio.lowlevel.checkpoint()
        finally:
            closed.append(partition)

    entries = merged([endless(0), endless(1)])
    first = [await anext(entries) for _ in range(4)]
    await entries.aclose()

    assert [(entry.entry_id.ms, entry.partition) for entry in first] == [
        *((1, 0), (1, 1), (2, 0), (2, 1))
    ]
    assert sorted(closed) == [0, 1]
