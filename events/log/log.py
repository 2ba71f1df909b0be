"""The log: all events of a deployment, on one Redis stream for each partition."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Self

import anyio

from events.catalogue.event import Event
from events.entry import codec
from events.entry.entry_id import END, START, EntryId
from events.entry.entry_line import RawEntry
from events.entry.recorded import Entry, Metadata, RecordedEvent
from events.errors import (
    LayoutError,
    ServerUnavailableError,
    UndecodableEntryError,
    UnknownEventTypeError,
)
from events.log.append import MEMORY, Append, Appended, Durability, group_by_partition
from events.log.keys import Keys
from events.log.merge import by_entry_id, merged
from events.log.partitions import PARTITIONS_MAX, log_exists, read_partitions
from events.server.backoff import Backoff
from events.server.reply import reply_entries, reply_streams
from events.server.server import Server, open_server
from events.server.settings import ServerSettings
from events.structured_logger import structured_logger

READ_COUNT = 1_000
"""Entries asked for at a time."""

_BLOCK_MS = 2_000
_RECONNECT = Backoff(first_s=0.05, most_s=5.0)

_log = structured_logger(__name__)


class EventLog:
    """Append events, read them between two positions, follow them as they come.

    Made by `open_log`, which knows how many partitions the log has.
    """

    def __init__(self, server: Server, keys: Keys, partitions: int, source: str) -> None:
        self.server = server
        self.keys = keys
        self.partitions = partitions
        self._append = Append(server, keys, source)

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
        places = group_by_partition(events, self.partitions, expected)
        batches = {
            partition: self._append.batch(partition, [events[p] for p in own], expected, metadata)
            for partition, own in places.items()
        }
        entry_ids: dict[int, EntryId] = {}
        for partition, batch in batches.items():
            appended = await self._append(batch, durability)
            entry_ids |= zip(places[partition], appended.entry_ids, strict=True)
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
        stream = self.keys.events(partition)
        while True:
            raw = reply_entries(
                await self.server.client.call(
                    "XRANGE", stream, str(start), str(end), "COUNT", count
                )
            )
            if raw:
                yield entries_of(raw, partition)
            if len(raw) < count:
                return
            start = EntryId.parse(raw[-1][0]).after()

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

    async def follow(
        self, cursor: EntryId | Mapping[int, EntryId] = END
    ) -> AsyncGenerator[RecordedEvent]:
        """Yield every event after *cursor*, for ever, waiting for those to come.

        A cursor of `END` begins with what is appended from now on. While the server is away it
        waits and goes on where it was. Where the stream was trimmed beyond the cursor it goes on
        with what is left: `History.follow` goes on in the archive, or says what is missing.
        """
        async for entry in self.follow_entries(cursor):
            recorded = readable(entry)
            if recorded is not None:
                yield recorded

    async def follow_entries(
        self, cursor: EntryId | Mapping[int, EntryId] = END
    ) -> AsyncGenerator[Entry]:
        """Yield every raw entry after *cursor*, for ever; see `follow`."""
        cursors = await self._cursors(cursor)
        failures = 0
        async with self.server.blocking(_BLOCK_MS) as client:
            while True:
                streams = [self.keys.events(p) for p in cursors]
                ids = [str(at) for at in cursors.values()]
                try:
                    found = await client.call(
                        "XREAD", "COUNT", READ_COUNT, "BLOCK", _BLOCK_MS, "STREAMS", *streams, *ids
                    )
                except ServerUnavailableError as error:
                    failures += 1
                    _log.warning("follow_interrupted", error=str(error), failures=failures)
                    await anyio.sleep(_RECONNECT.delay_s(failures))
                    continue
                failures = 0
                for entry in self._arrived(reply_streams(found)):
                    yield entry
                    cursors[entry.partition] = entry.entry_id

    async def _cursors(self, cursor: EntryId | Mapping[int, EntryId]) -> dict[int, EntryId]:
        if isinstance(cursor, Mapping):
            return dict(cursor)
        if cursor < END:
            return dict.fromkeys(range(self.partitions), cursor)
        return {p: await self.head(p) for p in range(self.partitions)}

    def _arrived(self, found: Sequence[tuple[bytes, Sequence[RawEntry]]]) -> list[Entry]:
        partitions = {self.keys.events(p).encode(): p for p in range(self.partitions)}
        return by_entry_id(
            entry for stream, raw in found for entry in entries_of(raw, partitions[stream])
        )


def entries_of(raw: Iterable[RawEntry], partition: int) -> list[Entry]:
    """Turn Redis's flat reply into entries; one whose fields were deleted has none."""
    return [Entry(EntryId.parse(entry_id), partition, _paired(flat)) for entry_id, flat in raw]


def _paired(flat: Iterable[bytes] | None) -> dict[bytes, bytes]:
    strings = iter(flat or ())
    return dict(zip(strings, strings, strict=True))


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
