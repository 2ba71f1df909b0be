"""The log: all events of a deployment, on one Redis stream for each partition."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Self

from events.catalogue.event import Event
from events.entry import codec
from events.entry.entry_id import END, START, EntryId
from events.entry.recorded import Entry, Metadata, RecordedEvent, entries_of
from events.errors import (
    LayoutError,
    UndecodableEntryError,
    UnknownEventTypeError,
)
from events.log.append import Append
from events.log.batch import MEMORY, Appended, Durability, batches_of
from events.log.keys import Keys
from events.log.merge import merged
from events.log.partitions import PARTITIONS_MAX, log_exists, read_partitions
from events.log.reading import READ_COUNT, Cursor, StreamReading, cursors_of, follow
from events.server.reply import reply_entries
from events.server.server import Server, open_server
from events.server.settings import ServerSettings


class EventLog:
    """Append events, read them between two positions, follow them as they come.

    Made by `open_log`, which knows how many partitions the log has.
    """

    def __init__(self, server: Server, keys: Keys, partitions: int, source: str) -> None:
        self.server = server
        self.keys = keys
        self.partitions = partitions
        self._source = source
        self._append = Append(server, keys)

    @classmethod
    async def open(
        cls,
        server: Server,
        keys: Keys,
        *,
        partitions: int | None = None,
        source: str = "routestream",
        create: bool = True,
    ) -> Self:
        """Open the log on *server*, or create it with *partitions* (one unless given).

        Without *create* nothing is written; a log that does not exist reads as an empty one.

        Raises:
            LayoutError: The log was made with another number of partitions, or does not tell with
                how many.
        """
        made_with = await read_partitions(server.client, keys)
        if made_with is None:
            made_with = 1 if partitions is None else partitions
            if not 1 <= made_with <= PARTITIONS_MAX:
                raise LayoutError(
                    f"partitions: {made_with} is not allowed, 1 to {PARTITIONS_MAX} are"
                )
            if create:
                await server.client.call("HSETNX", keys.layout, "partitions", made_with)
                made_with = await read_partitions(server.client, keys) or made_with
        if partitions is not None and made_with != partitions:
            raise LayoutError(
                f"partitions: the log {keys.namespace!r} was made with {made_with},"
                f" it cannot be opened with {partitions}"
            )
        return cls(server, keys, made_with, source)

    async def exists(self) -> bool:
        """Whether there is such a log; one that is not there reads as an empty one."""
        return await log_exists(self.server.client, self.keys, range(self.partitions))

    async def keep_layout(self) -> None:
        """Write down again how many partitions there are, in case the server has lost it."""
        await self.server.client.call("HSETNX", self.keys.layout, "partitions", self.partitions)

    async def append(
        self,
        *events: Event,
        expected: EntryId | None = None,
        durability: Durability = MEMORY,
        metadata: Metadata | None = None,
    ) -> Appended:
        """Append *events*; those of one partition all or none, in their order.

        Args:
            events: What happened.
            expected: The head that their one endpoint must have, `START` for an endpoint
                without events; None appends in any case.
            durability: What to wait for.
            metadata: What the events belong to.

        Raises:
            InvalidEventError: A field breaks its limits; nothing was appended.
            ConflictError: The endpoint is not at *expected*; nothing was appended.
            ServerUnavailableError: The server was never reached, or refused every try; nothing
                was appended.
            UncertainAppendError: No try was answered; the events may be in the log.
            NotDurableError: The events are in the log, but *durability* was not reached in time.
        """
        batches = batches_of(
            events, self.partitions, self._source, expected=expected, metadata=metadata
        )
        entry_ids: dict[int, EntryId] = {}
        for batch in batches:
            appended = await self._append(batch, durability)
            entry_ids |= zip(batch.places, appended.entry_ids, strict=True)
        return Appended(tuple(entry_ids[place] for place in range(len(events))), durability)

    async def head(self, partition: int) -> EntryId:
        """Return the id of the partition's last entry, `START` when it has none."""
        last = reply_entries(
            await self.server.client.call(
                "XREVRANGE", self.keys.events(partition), "+", "-", "COUNT", 1
            )
        )
        return EntryId.parse(last[0][0]) if last else START

    async def read_entries(
        self, partition: int, start: EntryId = START, end: EntryId = END, count: int = READ_COUNT
    ) -> AsyncGenerator[list[Entry]]:
        """Yield the raw entries from *start* to *end*, both included, in chunks of *count*."""
        reading = StreamReading(self.server, self.keys, partition, start.before())
        while not reading.is_at_end:
            if raw := await reading.step(end, count):
                yield entries_of(raw, partition)

    async def read(
        self, start: EntryId = START, end: EntryId = END, partition: int | None = None
    ) -> AsyncGenerator[RecordedEvent]:
        """Yield the events from *start* to *end*, both included, in the order of their ids.

        Entries that cannot be read as an event are passed over; the tools show them raw.
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

        A cursor of `END` begins with what is appended from now on. While the server is away it
        waits and goes on where it was. Where the stream was trimmed beyond the cursor it goes on
        with what is left: `History.follow_entries` goes on in the archive, or says what is missing.
        """
        cursors = await cursors_of(cursor, self.partitions, self.head)
        readings = [StreamReading(self.server, self.keys, *at) for at in cursors.items()]
        async with aclosing(follow(self.server, self.keys, readings)) as entries:
            async for entry in entries:
                recorded = readable(entry)
                if recorded is not None:
                    yield recorded


def readable(entry: Entry) -> RecordedEvent | None:
    """Return the event of *entry*, or None where it cannot be read as one."""
    try:
        return codec.decode(entry)
    except (UnknownEventTypeError, UndecodableEntryError):
        return None


@asynccontextmanager
async def open_log(
    url: str | ServerSettings,
    *,
    namespace: str = "routestream",
    partitions: int | None = None,
    source: str = "routestream",
) -> AsyncIterator[EventLog]:
    """Open the log *namespace* on the server at *url*, and close the connection at the end."""
    settings = url if isinstance(url, ServerSettings) else ServerSettings(url=url)
    async with open_server(settings) as server:
        yield await EventLog.open(server, Keys(namespace), partitions=partitions, source=source)
