"""A log in memory, for tests of code that appends to a log, reads one or follows one.

    from events.testing import MemoryLog

    log = MemoryLog(partitions=4)
    await my_code(log)
    assert [recorded.event async for recorded in log.read()] == [...]

It passes the same tests as the log on Redis for all that `AppendableLog` promises: order and
entry ids, all or none, conflicts, limits, errors, what is read and what is followed.

Its limits: nothing outlives the object, whatever durability an append asked for. It works in one
process and one event loop. It is never away, so nothing waits or tries again, and it never
raises ServerUnavailableError or UncertainAppendError. It is never trimmed and has no archive.
There are no groups, dead letters, read models or leases on it: a fold, `EndpointService` and a
follower run on it; projectors, handlers, `open_reader` and the commands need a server.
"""

import time
from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable, Mapping
from uuid import UUID

import anyio
from anyio.lowlevel import checkpoint

from events.entry.codec import EncodedEvent, subject_of
from events.entry.entry_id import END, START, EntryId
from events.entry.recorded import Entry
from events.errors import ConflictError, InvalidEventError, NotDurableError, ServerRefusedError
from events.log.batch import Batch, Durability
from events.log.keys import check_partitions
from events.log.merge import by_entry_id
from events.log.protocol import READ_COUNT, AppendableLog, Cursor, cursors_of


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class MemoryLog(AppendableLog):
    """A log whose entries are kept in this object.

    Every call lets other tasks run before it does its one step, as a call to a server would.

    Args:
        partitions: How many; 1 to 1,024.
        source: Name of the producer, which each event has.
        can_fsync: Whether an append that waits for the disk succeeds, as on a server with an
            append-only file, or is refused, as on one without.
        replicas: Number of replicas that are assumed to have every append at once.
        now_ms: The clock that entry ids are made from, in milliseconds since 1970.

    Raises:
        LayoutError: *partitions* is out of range.
    """

    def __init__(
        self,
        *,
        partitions: int = 1,
        source: str = "routestream",
        can_fsync: bool = True,
        replicas: int = 0,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self.partitions = check_partitions(partitions)
        self.source = source
        self._can_fsync = can_fsync
        self._replicas = replicas
        self._now_ms = now_ms
        self._entries: dict[int, list[Entry]] = {p: [] for p in range(partitions)}
        self._heads: dict[UUID, EntryId] = {}
        self._event_ids: dict[int, dict[str, EntryId]] = {p: {} for p in range(partitions)}
        self._grown = anyio.Event()

    async def append_batch(self, batch: Batch, durability: Durability) -> list[EntryId]:
        """See `AppendableLog.append_batch`; *durability* is checked against what the log has."""
        await checkpoint()
        if durability.fsync and not self._can_fsync:
            raise ServerRefusedError("this log has no file to wait for; nothing was appended")
        known = [self._known(event, batch.partition) for event in batch.events]
        head = self._heads.get(batch.endpoint_id, START)
        if batch.expected not in {None, head} and None in known:
            raise ConflictError(batch.endpoint_id, batch.expected, head)
        entry_ids = [
            entry_id or self._add(batch.partition, event.fields(batch.origin))
            for entry_id, event in zip(known, batch.events, strict=True)
        ]
        if durability.replicas > self._replicas:
            raise NotDurableError(
                f"appended as {entry_ids[-1]}, but replicas are {self._replicas}"
                f" (asked for: {durability.replicas})",
                batch.event_ids,
                entry_ids,
            )
        return entry_ids

    def _known(self, event: EncodedEvent, partition: int) -> EntryId | None:
        """Return the entry that has the event's id, None if there is none."""
        entry_id = self._event_ids[partition].get(event.event_id)
        if entry_id is None:
            return None
        [entry] = self._between(partition, entry_id, entry_id, 1)
        if (entry.fields.get(b"name"), subject_of(entry)) != (event.name, event.endpoint_id):
            raise InvalidEventError(
                "event_ids", f"{event.event_id} is the id of another event, entry {entry_id}"
            )
        return entry_id

    async def add_entry(self, partition: int, fields: Mapping[bytes, bytes]) -> EntryId:
        """Add any fields, as another program can with XADD: also those that are no event.

        They are not checked. If they name an endpoint, the entry is its head.
        """
        await checkpoint()
        return self._add(partition, fields)

    def _add(self, partition: int, fields: Mapping[bytes, bytes]) -> EntryId:
        entries = self._entries[partition]
        entry_id = EntryId(self._now_ms(), 0)
        if entries:
            # As Redis does when its clock stands still or was set back.
            entry_id = max(entry_id, entries[-1].entry_id.after())
        entry = Entry(entry_id, partition, dict(fields))
        entries.append(entry)
        event_id = fields.get(b"id", b"").decode("utf-8", "replace")
        self._event_ids[partition].setdefault(event_id, entry_id)
        endpoint_id = subject_of(entry)
        if endpoint_id is not None:
            self._heads[endpoint_id] = entry_id
        self._grown.set()
        self._grown = anyio.Event()
        return entry_id

    async def head(self, partition: int) -> EntryId:
        """Return the id of the partition's last entry, `START` when it has none."""
        await checkpoint()
        entries = self._entries.get(partition)
        return entries[-1].entry_id if entries else START

    async def endpoint_head(self, endpoint_id: UUID) -> EntryId:
        """Return the id of the endpoint's last event, `START` when it has none."""
        await checkpoint()
        return self._heads.get(endpoint_id, START)

    async def read_entries(
        self, partition: int, start: EntryId = START, end: EntryId = END, count: int = READ_COUNT
    ) -> AsyncGenerator[list[Entry]]:
        """Yield the raw entries from *start* to *end*, both included, in chunks of *count*."""
        while True:
            await checkpoint()
            chunk = self._between(partition, start, end, count)
            if chunk:
                yield chunk
            if len(chunk) < count:
                return
            start = chunk[-1].entry_id.after()

    async def follow_entries(self, cursor: Cursor = END) -> AsyncGenerator[Entry]:
        """Yield every raw entry after *cursor*, for ever; see `follow`."""
        cursors = await cursors_of(self, cursor)
        while True:
            await checkpoint()
            grown = self._grown
            found: list[Entry] = []
            for partition, position in cursors.items():
                found += self._between(partition, position.after(), END, READ_COUNT)
            if not found:
                await grown.wait()
            for entry in by_entry_id(found):
                yield entry
                cursors[entry.partition] = entry.entry_id

    def _between(self, partition: int, start: EntryId, end: EntryId, count: int) -> list[Entry]:
        entries = self._entries.get(partition, [])
        first = bisect_left(entries, start, key=lambda entry: entry.entry_id)
        return [entry for entry in entries[first : first + count] if entry.entry_id <= end]
