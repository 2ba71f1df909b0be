"""Merge the entries of several partitions into one sequence, in the order of their ids."""

import heapq
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing

from events.entry.entry_id import EntryId
from events.entry.recorded import Entry


async def merged(sources: Iterable[AsyncGenerator[list[Entry]]]) -> AsyncGenerator[Entry]:
    """Yield the entries of all *sources* by entry id, equal ids in the order of the sources.

    Each source yields the entries of one partition, oldest first. One chunk of each is held in
    memory. The sources are closed at the end.
    """
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(aclosing(source)) for source in sources]
        chunks: list[Iterator[Entry]] = [iter(()) for _ in opened]
        heap: list[tuple[EntryId, int, Entry]] = []

        async def push_next(place: int) -> None:
            while (entry := next(chunks[place], None)) is None:
                chunk = await anext(opened[place], None)
                if chunk is None:
                    return
                chunks[place] = iter(chunk)
            heapq.heappush(heap, (entry.entry_id, place, entry))

        for place in range(len(opened)):
            await push_next(place)
        while heap:
            _, place, entry = heapq.heappop(heap)
            yield entry
            await push_next(place)


def by_entry_id(entries: Iterable[Entry]) -> list[Entry]:
    """Return *entries* by entry id, those of one id by partition."""
    return sorted(entries, key=lambda entry: (entry.entry_id, entry.partition))
