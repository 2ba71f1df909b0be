"""Copy a log into one with another number of partitions, again and again until both are equal."""

from collections.abc import Callable, Sequence
from contextlib import aclosing

from events.entry.entry_id import START, EntryId
from events.entry.recorded import Entry
from events.errors import EventsError
from events.history.history import History
from events.log.keys import partition_of
from events.log.log import EventLog
from events.log.merge import merged
from events.log.partition_chunk import read_chunk
from events.server.reply import reply
from events.server.server import now_of
from events.transfer.copy import (
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    STRINGS_MAX,
    Copied,
    Copy,
    endpoint_of,
    size_of,
)

HELD_BYTES_MAX = 16_777_216
"""Bytes of entries that are held in memory for all partitions together."""

Note = Callable[[int, EntryId], None]
"""Called with how many more were copied, and the id of the last one in the source."""


class LogCopy:
    """Copies what *source* has and *target* lacks.

    The entries of one endpoint keep their order, and every entry its fields, the event's own id
    too. The partitions are merged by entry id, and an entry keeps its id; where two partitions have
    the same id and meet in one, the second gets the next free one. So an endpoint's entries never
    change places, and an id never becomes smaller.

    Every step keeps up to where it has copied together with the entries, so that a copy that was
    killed goes on where it was. Nobody else may append to the target.

    Attributes:
        target: The log that is copied into.
    """

    def __init__(self, source: History, target: EventLog, note: Note) -> None:
        self._source = source
        self.target = target
        self._note = note
        self._copy = Copy(target)
        self._partitions = [_TargetPartition(p) for p in range(target.partitions)]
        self._read: list[EntryId] = []

    async def begin(self) -> None:
        """Find out up to where the target has the source's entries."""
        for one in self._partitions:
            one.last = (await read_chunk(self.target, one.partition, START, START, 1)).last
            key = self.target.keys.copied(one.partition)
            found = await self.target.server.client.call("HGETALL", key)
            kept = reply(found, dict[bytes, bytes])
            one.copied = {int(source): EntryId.parse(at) for source, at in kept.items()}
        self._read = [
            min((one.copied.get(p, START) for one in self._partitions), default=START)
            for p in range(self._source.partitions)
        ]

    async def settled_ends(self) -> list[EntryId]:
        """Return for each partition an id up to which nothing can be added any more.

        All were asked at one moment of the server's clock, so that the partitions can be merged up
        to there. A clock that is set back, or clocks that differ within a cluster, can only cost
        some entries their id, not their order.
        """
        keys, server = self._source.keys, self._source.server
        clocks = [await now_of(server, keys.events(p)) for p in range(self._source.partitions)]
        before_now = EntryId(int(min(clocks).timestamp() * 1_000), 0).before()
        return [min(before_now, end) for end in await self.ends()]

    async def ends(self) -> list[EntryId]:
        """Return the newest id of each partition of the source."""
        return [await self._source.head(p) for p in range(self._source.partitions)]

    async def copy(self, ends: Sequence[EntryId]) -> int:
        """Copy all up to *ends*, one for each partition of the source; return how many entries.

        Raises:
            MovedError: Another program appends to the target.
            TrimmedError: Entries are gone for good that the copy needs.
            EventsError: An entry has more fields than can be copied, or a server is away.
        """
        count = held_bytes = 0
        sources = [
            self._source.read_entries(p, self._read[p].after(), end)
            for p, end in enumerate(ends)
            if end > self._read[p]
        ]
        async with aclosing(merged(sources)) as entries:
            async for entry in entries:
                one = self._partitions[self._place_of(entry)]
                if entry.entry_id <= one.copied.get(entry.partition, START):
                    continue
                held_bytes += one.take(entry)
                count += 1
                if one.is_full:
                    held_bytes -= await self._flush(one)
                elif held_bytes > HELD_BYTES_MAX:
                    held_bytes -= sum([await self._flush(each) for each in self._partitions])
        for one in self._partitions:
            await self._flush(one)
        self._read = [max(before, end) for before, end in zip(self._read, ends, strict=True)]
        return count

    def _place_of(self, entry: Entry) -> int:
        endpoint = endpoint_of([part for pair in entry.pairs for part in pair])
        if endpoint is None:
            return entry.partition % self.target.partitions
        return partition_of(endpoint, self.target.partitions)

    async def _flush(self, one: "_TargetPartition") -> int:
        """Add what is held for one partition; return its bytes."""
        if not one.entries:
            return 0
        copied = one.copied | one.taken
        one.last = await self._copy.add_after(one.partition, one.last, one.entries, one.taken)
        self._note(len(one.entries), max(one.taken.values()))
        held_bytes, one.copied = one.held_bytes, copied
        one.entries, one.taken, one.held_bytes = [], {}, 0
        return held_bytes


class _TargetPartition:
    """A partition of the target: what it has, and what is held for it.

    Attributes:
        partition: The partition.
        last: Its newest id.
        copied: Partition of the source -> its last entry that is in it.
        entries: What is held.
        taken: Partition of the source -> its last entry that is held.
        held_bytes: The size of what is held.
    """

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.last = START
        self.copied: dict[int, EntryId] = {}
        self.entries: list[Copied] = []
        self.taken: dict[int, EntryId] = {}
        self.held_bytes = 0

    @property
    def is_full(self) -> bool:
        return len(self.entries) == BATCH_ENTRIES_MAX or self.held_bytes >= BATCH_BYTES_MAX

    def take(self, entry: Entry) -> int:
        """Hold *entry* under the id that it will have; return its bytes."""
        strings = [part for pair in entry.pairs for part in pair]
        if len(strings) > STRINGS_MAX:
            raise EventsError(
                f"entry {entry.entry_id} of partition {entry.partition} has {len(strings) // 2}"
                f" fields, the limit is {STRINGS_MAX // 2}: it cannot be copied"
            )
        newest = self.entries[-1].entry_id if self.entries else None
        free = (newest or self.last).after()
        self.entries.append(Copied(strings, max(entry.entry_id, free)))
        self.taken[entry.partition] = entry.entry_id
        size = size_of(strings)
        self.held_bytes += size
        return size
