"""The protocols of a log, for code that is to run on every kind of log."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol
from uuid import UUID

from events.catalogue.event import Event
from events.entry import codec
from events.entry.entry_id import END, START, EntryId
from events.entry.recorded import Entry, Metadata, RecordedEvent
from events.errors import UndecodableEntryError, UnknownEventTypeError
from events.log.batch import MEMORY, Appended, Batch, Durability, append_each, batches_of
from events.log.merge import merged

READ_COUNT = 1_000
"""Entries asked for at a time."""

Cursor = EntryId | Mapping[int, EntryId]
"""The last entry that a follower has read, in all partitions or in each; `END` for the newest."""


class ReadableLog(Protocol):
    """A log to read: `EventLog`, `History` with its archive, `events.testing.MemoryLog`.

    An implementation needs no base class. One that derives from this inherits `read` and `follow`.

    Attributes:
        partitions: Number of partitions; it never changes.
    """

    partitions: int

    async def head(self, partition: int) -> EntryId:
        """Return the id of the partition's last entry, `START` when it has none."""
        ...

    def read_entries(
        self, partition: int, start: EntryId = START, end: EntryId = END, count: int = READ_COUNT
    ) -> AsyncGenerator[list[Entry]]:
        """Yield the raw entries from *start* to *end*, both included, in chunks of *count*."""
        ...

    def follow_entries(self, cursor: Cursor = END) -> AsyncGenerator[Entry]:
        """Yield every raw entry after *cursor*, for ever; see `follow`."""
        ...

    async def read(
        self, start: EntryId = START, end: EntryId = END, partition: int | None = None
    ) -> AsyncGenerator[RecordedEvent]:
        """Yield the events from *start* to *end*, both included, in the order of their ids.

        Entries that cannot be read as an event are passed over; `read_entries` yields them raw.
        """
        wanted = range(self.partitions) if partition is None else [partition]
        sources = [self.read_entries(p, start, end) for p in wanted]
        async with aclosing(merged(sources)) as entries:
            async for entry in entries:
                recorded = readable(entry)
                if recorded is not None:
                    yield recorded

    async def follow(self, cursor: Cursor = END) -> AsyncGenerator[RecordedEvent]:
        """Yield every event after *cursor*, for ever, waiting for those to come.

        *cursor* is one id for all partitions, or one for each partition that is followed. `END`
        begins with what is appended from now on. Entries that cannot be read as an event are passed
        over. See `follow_entries` for what it raises.
        """
        async with aclosing(self.follow_entries(cursor)) as entries:
            async for entry in entries:
                recorded = readable(entry)
                if recorded is not None:
                    yield recorded


class AppendableLog(ReadableLog, Protocol):
    """A log to append to as well: `EventLog`, `events.testing.MemoryLog`.

    Attributes:
        source: Name of the producer, which each event has.
    """

    source: str

    async def append(
        self,
        *events: Event,
        event_ids: Sequence[UUID] | None = None,
        expected: EntryId | None = None,
        durability: Durability = MEMORY,
        metadata: Metadata | None = None,
    ) -> Appended:
        """Append *events*; those of one partition all or none, in their order.

        An event whose id the log has is not added again: the answer is the entry that it has, for
        as long as the log keeps that entry. So an append can be repeated with the same ids, also
        after a crash, by another process, or after an error that says how it ended.

        Args:
            events: What happened; up to `APPEND_MAX` in one partition.
            event_ids: An id for each event, unique in the log; None: new ones, UUIDs of version 7.
            expected: The head that their one endpoint must have, `START` for an endpoint
                without events; None appends in any case. It is not asked of events that the log
                has already.
            durability: What to wait for.
            metadata: Where the events come from.

        Raises:
            InvalidEventError: A field breaks its limits, or an id belongs to another event;
                nothing was appended.
            ConflictError: The endpoint is not at *expected*; nothing was appended.
            ServerUnavailableError: The server was never reached, or refused every try; nothing
                was appended.
            ServerRefusedError: The server cannot give the *durability*, or refuses the append;
                nothing was appended.
            UncertainAppendError: No try was answered; the events may be in the log.
            NotDurableError: The events are in the log, but *durability* was not reached in time.
            IncompleteAppendError: The events lie in several partitions, and some are in the log.
        """
        batches = batches_of(
            events,
            self.partitions,
            self.source,
            event_ids=event_ids,
            expected=expected,
            metadata=metadata,
        )
        return await append_each(batches, durability, self.append_batch)

    async def append_batch(self, batch: Batch, durability: Durability) -> Sequence[EntryId]:
        """Append one partition's events for `append`, and return their entry ids."""
        ...

    async def endpoint_head(self, endpoint_id: UUID) -> EntryId:
        """Return the id of the endpoint's last event, `START` when it has none."""
        ...


async def cursors_of(log: ReadableLog, cursor: Cursor) -> dict[int, EntryId]:
    """Return for each partition the entry after which a follower from *cursor* begins."""
    if isinstance(cursor, Mapping):
        return dict(cursor)
    if cursor < END:
        return dict.fromkeys(range(log.partitions), cursor)
    return {partition: await log.head(partition) for partition in range(log.partitions)}


def readable(entry: Entry) -> RecordedEvent | None:
    """Return the event of *entry*, or None if it cannot be read as one."""
    try:
        return codec.decode(entry)
    except (UnknownEventTypeError, UndecodableEntryError):
        return None
