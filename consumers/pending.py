"""Pending entries: delivered, but not acknowledged, by us or by a consumer that went silent."""

import heapq
from collections.abc import AsyncGenerator, Sequence
from time import monotonic

import structlog

from consumers.delivery import Delivery
from events.entry_id import EntryId
from events.keys import Keys
from events.log import entries_of
from events.server import Server

ALONE_FROM = 2
"""Deliveries after which an entry is processed alone: one of its batch may kill its process."""

RETRIES_MAX = 10_000
"""Entries whose next try is remembered; beyond that they wait to be claimed as idle."""

_log = structlog.get_logger()


class PendingEntries:
    """Claims entries of one group's partition for one consumer.

    The idle ones are looked for from where the last look ended, so that many fresh ones in front
    hide none.
    """

    def __init__(self, server: Server, keys: Keys, partition: int, group: str, name: str) -> None:
        self._client = server.client
        self._stream = keys.events(partition)
        self.partition = partition
        self._group = group
        self._name = name
        self._cursor = "-"
        self._retries: list[tuple[float, EntryId]] = []
        self._began = False

    async def own(self, count: int) -> AsyncGenerator[list[Delivery]]:
        """Claim again all that is pending with ourselves: we do not know how it ended.

        At first a consumer of our name may have died of it, which counts as a delivery; later
        only the connection was lost, which does not.
        """
        began, self._began = self._began, True
        self._retries.clear()
        cursor = "-"
        while found := await self._list(cursor, count, 0, self._name):
            cursor = f"({found[-1][0]}"
            async for batch in self._claimed(found, 0, counted=not began):
                yield batch

    async def idle(self, count: int, idle_ms: int) -> AsyncGenerator[list[Delivery]]:
        """Claim up to *count* entries that no consumer has touched for *idle_ms*."""
        found = await self._list(self._cursor, count, idle_ms, None)
        self._cursor = f"({found[-1][0]}" if len(found) == count else "-"
        waiting = {entry_id for _, entry_id in self._retries}
        claimable = [one for one in found if one[0] not in waiting]
        async for batch in self._claimed(claimable, idle_ms):
            yield batch

    def later(self, delivery: Delivery, after_s: float) -> None:
        """Remember to try the entry again after *after_s*; it stays pending with us."""
        if len(self._retries) < RETRIES_MAX:
            heapq.heappush(self._retries, (monotonic() + after_s, delivery.entry_id))

    @property
    def next_due_s(self) -> float | None:
        """Seconds until the next remembered try, None when there is none."""
        return max(0.0, self._retries[0][0] - monotonic()) if self._retries else None

    async def due(self, count: int) -> AsyncGenerator[list[Delivery]]:
        """Claim the entries whose next try is due, if no other consumer has taken them."""
        found: list[tuple[EntryId, int]] = []
        while self._retries and len(found) < count and self._retries[0][0] <= monotonic():
            due = str(heapq.heappop(self._retries)[1])
            found += await self._list(due, 1, 0, self._name, end=due)
        async for batch in self._claimed(found, 0):
            yield batch

    async def _list(
        self, start: str, count: int, idle_ms: int, consumer: str | None, end: str = "+"
    ) -> list[tuple[EntryId, int]]:
        """List ids and deliveries, in the order of the ids."""
        idle = ("IDLE", idle_ms) if idle_ms else ()
        of = () if consumer is None else (consumer,)
        raw = await self._client.call(
            "XPENDING", self._stream, self._group, *idle, start, end, count, *of
        )
        return [(EntryId.parse(entry_id), deliveries) for entry_id, _, _, deliveries in raw]

    async def _claimed(
        self, found: Sequence[tuple[EntryId, int]], idle_ms: int, *, counted: bool = True
    ) -> AsyncGenerator[list[Delivery]]:
        """Claim what was found: at first tries together, after that one by one."""
        together = [one for one in found if one[1] < ALONE_FROM]
        alone = [[one] for one in found if one[1] >= ALONE_FROM]
        for some in [together, *alone] if together else alone:
            deliveries = {entry_id: times + counted for entry_id, times in some}
            as_before = () if counted else ("RETRYCOUNT", some[0][1])
            raw = await self._client.call(
                *("XCLAIM", self._stream, self._group, self._name, idle_ms),
                *(*map(str, deliveries), *as_before),
            )
            entries = entries_of((one for one in raw if one), self.partition)
            if len(entries) < len(deliveries):
                await self._note_lost(deliveries.keys() - {entry.entry_id for entry in entries})
            if entries:
                yield [Delivery(entry, deliveries[entry.entry_id]) for entry in entries]

    async def _note_lost(self, missing: set[EntryId]) -> None:
        """An entry that could not be claimed was taken by another consumer, or was deleted."""
        for entry_id in sorted(missing):
            raw = await self._client.call("XRANGE", self._stream, str(entry_id), str(entry_id))
            if not raw:
                _log.error("entry_lost", entry_id=str(entry_id), why="deleted while pending")
