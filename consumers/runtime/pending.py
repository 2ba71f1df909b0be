"""Claims pending entries: our own, and those of consumers that went silent."""

import heapq
from collections.abc import AsyncGenerator, Sequence
from time import monotonic

from consumers.runtime.losses import Losses
from consumers.runtime.outcome import Delivery
from events.entry.codec import ENTRY_BYTES_MAX
from events.entry.entry_id import EntryId
from events.entry.recorded import bounded_entries_of
from events.log.keys import Keys
from events.server.reply import reply_entries
from events.server.server import Server
from events.streams.stream_group import PendingEntry, read_pending

ALONE_FROM = 2
"""Deliveries after which an entry is processed alone: an entry of its batch may kill processes."""

RETRIES_MAX = 10_000
"""Entries whose next try is remembered; further ones wait until they are claimed as idle."""

_LOOK_AGAIN_MIN_S = 0.02


class PendingEntries:
    """Claims entries of one group's partition for one consumer.

    Each look for idle entries starts where the last one ended, so that many recently delivered
    entries cannot hide older ones. The next look comes when the first entry that was not idle for
    long enough will be.

    Attributes:
        partition: The partition.
        losses: Notes entries that were deleted while they were pending.
    """

    def __init__(self, server: Server, keys: Keys, partition: int, group: str, name: str) -> None:
        self._client = server.client
        self.losses = Losses(server, keys, partition, group)
        self._stream = keys.events(partition)
        self.partition = partition
        self._group = group
        self._name = name
        self._cursor = "-"
        self._retries: list[tuple[float, EntryId]] = []
        self._began = False
        self._look_at = 0.0

    async def own(self, count: int) -> AsyncGenerator[list[Delivery]]:
        """Claim all our own pending entries again: we do not know how their deliveries ended.

        The first time, an earlier process of our name may have died of them, so the claim counts as
        a delivery; later only the connection was lost, and the claim does not count.
        """
        began, self._began = self._began, True
        self._retries.clear()
        cursor = "-"
        while found := await self._list(cursor, count, 0, self._name):
            cursor = f"({found[-1].entry_id}"
            async for batch in self._claimed(found, 0, counted=not began):
                yield batch

    async def idle(self, count: int, idle_ms: int) -> AsyncGenerator[list[Delivery]]:
        """Claim, of up to *count* entries, those that no consumer has touched for *idle_ms*."""
        found = await self._list(self._cursor, count, idle_ms // 2, None)
        is_page = len(found) == count
        self._cursor = f"({found[-1].entry_id}" if is_page else "-"
        waiting = {entry_id for _, entry_id in self._retries}
        claimable = [entry for entry in found if entry.entry_id not in waiting]
        almost = [entry.idle_ms for entry in claimable if entry.idle_ms < idle_ms]
        again_ms = 0 if is_page else min(idle_ms - max(almost, default=0), idle_ms / 2)
        self._look_at = monotonic() + max(_LOOK_AGAIN_MIN_S, again_ms / 1_000)
        idle = [entry for entry in claimable if entry.idle_ms >= idle_ms]
        async for batch in self._claimed(idle, idle_ms):
            yield batch

    @property
    def next_look_s(self) -> float:
        """Seconds until idle entries are looked for again."""
        return max(0.0, self._look_at - monotonic())

    def look_now(self) -> None:
        """Make the next look for idle entries due at once."""
        self._look_at = 0.0

    def later(self, delivery: Delivery, after_s: float) -> None:
        """Remember to try the entry again after *after_s*; it stays pending with us."""
        if len(self._retries) < RETRIES_MAX:
            heapq.heappush(self._retries, (monotonic() + after_s, delivery.entry_id))

    @property
    def next_due_s(self) -> float | None:
        """Seconds until the next remembered try, None if there is none."""
        return max(0.0, self._retries[0][0] - monotonic()) if self._retries else None

    async def due(self, count: int) -> AsyncGenerator[list[Delivery]]:
        """Claim the entries whose next try is due, if no other consumer has taken them."""
        found: list[PendingEntry] = []
        while self._retries and len(found) < count and self._retries[0][0] <= monotonic():
            due = str(heapq.heappop(self._retries)[1])
            found += await self._list(due, 1, 0, self._name, end=due)
        async for batch in self._claimed(found, 0):
            yield batch

    async def _list(
        self, start: str, count: int, idle_ms: int, consumer: str | None, end: str = "+"
    ) -> list[PendingEntry]:
        """List pending entries in the order of their ids."""
        return await read_pending(
            self._client.call,
            self._stream,
            self._group,
            count=count,
            start=start,
            end=end,
            consumer=consumer,
            min_idle_ms=idle_ms,
        )

    async def _claimed(
        self, found: Sequence[PendingEntry], idle_ms: int, *, counted: bool = True
    ) -> AsyncGenerator[list[Delivery]]:
        """Claim *found*: entries at their first tries together, the others one by one."""
        together = [entry for entry in found if entry.deliveries < ALONE_FROM]
        alone = [[entry] for entry in found if entry.deliveries >= ALONE_FROM]
        for chunk in [together, *alone] if together else alone:
            deliveries = {entry.entry_id: entry.deliveries + counted for entry in chunk}
            as_before = () if counted else ("RETRYCOUNT", chunk[0].deliveries)
            raw = await self._client.call(
                *("XCLAIM", self._stream, self._group, self._name, idle_ms),
                *(*map(str, deliveries), *as_before),
            )
            entries = bounded_entries_of(reply_entries(raw), self.partition, ENTRY_BYTES_MAX)
            if len(entries) < len(deliveries):
                await self._note_lost(deliveries.keys() - {entry.entry_id for entry in entries})
            if entries:
                yield [Delivery(entry, deliveries[entry.entry_id]) for entry in entries]

    async def _note_lost(self, missing: set[EntryId]) -> None:
        """Note the entries of *missing* that were deleted; other consumers took the rest."""
        for entry_id in sorted(missing):
            raw = await self._client.call("XRANGE", self._stream, str(entry_id), str(entry_id))
            if not raw:
                await self.losses.note("deleted", [entry_id])
