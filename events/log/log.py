"""The log: all events of a deployment, on one Redis stream for each partition."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from time import monotonic
from urllib.parse import quote
from uuid import UUID

import anyio
from msgspec.structs import replace

from events.catalogue.event import Event
from events.entry.entry_id import END, START, EntryId
from events.entry.recorded import Entry, Metadata, entries_of
from events.errors import AppendError, EventsError, LayoutError, SealedLogError
from events.log.append import Append
from events.log.batch import MEMORY, Appended, Batch, Durability
from events.log.keys import NAMESPACE, Keys, check_partitions, partition_of
from events.log.layout import (
    Layout,
    LogPlace,
    held_layout,
    keep_layout,
    log_exists,
    other_partitions,
    read_identity,
    read_layout,
)
from events.log.protocol import READ_COUNT, AppendableLog, Cursor, cursors_of
from events.log.reading import StreamReading, follow
from events.server.backoff import Backoff
from events.server.reply import reply, reply_entries
from events.server.server import Server, open_server
from events.server.settings import ServerSettings
from events.server.url import parse_server_url

SEAL_WAIT_S = 60.0
"""How long an append waits while the log is sealed, because it moves; usually that is a second."""

_WHILE_SEALED = Backoff(first_s=0.01, most_s=0.2)


class EventLog(AppendableLog):
    """Append events, read them between two positions, follow them as they come.

    Created by `open_log`, which reads the log's layout.

    Attributes:
        layout: How the log was made when it was opened.
    """

    def __init__(self, server: Server, keys: Keys, layout: Layout, source: str) -> None:
        self.server = server
        self.keys = keys
        self.layout = layout
        self.partitions = layout.partitions
        self.source = source
        self._successor: EventLog | None = None
        self._finding = anyio.Lock()
        self._owns_server = False
        self._append = Append(server, keys)
        self._head = server.client.script("events.log", "head")

    @classmethod
    async def open(
        cls,
        server: Server,
        keys: Keys,
        *,
        partitions: int | None = None,
        source: str = "routestream",
        create: bool = True,
    ) -> "EventLog":
        """Open the log on *server*, or create it with *partitions* (one unless given).

        Without *create* nothing is written; a log that does not exist reads as an empty one. A log
        that has moved is opened at its new place, if need be on another server: see `aclose`.

        Raises:
            LayoutError: The log was created with another number of partitions, its layout holds no
                valid number, or is missing although keys of the log are there.
        """
        layout = await read_layout(server.client, keys)
        if layout is None:
            layout = Layout(check_partitions(1 if partitions is None else partitions))
        elif partitions not in {None, layout.partitions}:
            raise other_partitions(keys, layout.partitions, partitions)
        if layout.moved_to is not None:
            moved = await cls(server, keys, layout, source).find_successor()
            if moved is not None:
                return moved
        if create and layout.copy_of is not None:
            raise LayoutError(
                f"the log {keys.namespace!r} is being copied from log {layout.copy_of}; nothing"
                " else writes to it until that is done"
            )
        if create and not layout.is_complete:
            layout = await keep_layout(server.client, keys, layout)
        return cls(server, keys, layout, source)

    @property
    def current(self) -> "EventLog":
        """The log where it is known to be: this one, or the one at the place that it moved to."""
        return self if self._successor is None else self._successor.current

    async def find_successor(self) -> "EventLog | None":
        """Open the log at the place that this one has moved to; None where it has not moved.

        Raises:
            LayoutError: A layout holds no valid number, identity or place.
            ServerUnavailableError: The server that it has moved to cannot be reached.
        """
        layout = await held_layout(self.server.client, self.keys)
        if layout is not None and layout.moved_to is not None:
            async with self._finding:  # each opens a server, and only one is closed
                if self._successor is None:
                    self._successor = await self._opened_at(layout.moved_to)
        if self._successor is None:
            return None
        return await self._successor.find_successor() or self._successor

    async def _opened_at(self, place: LogPlace) -> "EventLog | None":
        """Open the log at *place*, None as long as not all has been copied to it."""
        server = self.server
        if place.url is not None:
            server = Server(_settings_at(self.server.settings, place.url))
        try:
            await server.check()
            keys = Keys(place.namespace)
            layout = await held_layout(server.client, keys)
            if layout is not None and layout.copy_of is None:
                log = EventLog(server, keys, layout, self.source)
                log._owns_server = server is not self.server
                server = self.server
                return log
        finally:
            if server is not self.server:
                await server.aclose()
        return None

    async def aclose(self) -> None:
        """Close the server that the log has moved to, where it is another one."""
        if self._successor is not None:
            await self._successor.aclose()
        if self._owns_server:
            await self.server.aclose()

    async def exists(self) -> bool:
        """Whether the log exists; one that does not exist reads as an empty one."""
        return await log_exists(self.server.client, self.keys, range(self.partitions))

    async def restore_layout(self, partition: int) -> None:
        """Write the layout again if it alone was lost: *partition* still belongs to this log."""
        client, identity = self.server.client, self.layout.identity
        if identity is None or await client.call("EXISTS", self.keys.layout):
            return
        if await read_identity(client, self.keys, partition) == identity:
            await keep_layout(client, self.keys, self.layout)

    async def append(
        self,
        *events: Event,
        event_ids: Sequence[UUID] | None = None,
        expected: EntryId | None = None,
        durability: Durability = MEMORY,
        metadata: Metadata | None = None,
    ) -> Appended:
        """See `AppendableLog.append`; where the log moves, the events go to its new place.

        While it moves, the append waits, up to `SEAL_WAIT_S` seconds.

        Raises:
            SealedLogError: The log was not at its new place in time.
        """
        deadline = monotonic() + SEAL_WAIT_S
        partial: AppendError | None = None
        try:
            for delay_s in _WHILE_SEALED.delays():
                log = self.current
                try:
                    return await super(EventLog, log).append(
                        *events,
                        event_ids=event_ids,
                        expected=expected,
                        durability=durability,
                        metadata=metadata,
                    )
                except AppendError as error:
                    if not _is_sealed(error) or monotonic() >= deadline:
                        raise
                    # The new place has what was appended before the seal, under these ids.
                    event_ids = error.event_ids
                    if any(error.entry_ids):
                        partial = error
                if await log.find_successor() is None:
                    await anyio.sleep(delay_s)
        except EventsError as error:
            if partial is None or isinstance(error, AppendError):
                raise
            raise partial from error  # others say that nothing was appended
        raise AssertionError("the delays never end")

    async def append_batch(self, batch: Batch, durability: Durability) -> Sequence[EntryId]:
        """See `AppendableLog.append_batch`."""
        return await self._append(batch, durability)

    async def head(self, partition: int) -> EntryId:
        """Return the id of the partition's last entry, `START` when it has none."""
        last = reply_entries(
            await self.server.client.call(
                "XREVRANGE", self.keys.events(partition), "+", "-", "COUNT", 1
            )
        )
        return EntryId.parse(last[0][0]) if last else START

    async def endpoint_head(self, endpoint_id: UUID) -> EntryId:
        """Return the id of the endpoint's last event, `START` when it has none.

        A log that has moved is asked at its new place, which `current` is from then on.
        """
        if self._successor is not None:
            return await self._successor.endpoint_head(endpoint_id)
        keys = self.keys.of_append(partition_of(endpoint_id, self.partitions))
        state = b"behind"
        while state == b"behind":  # each call counts some more of what other programs have added
            answer = await self._head(keys, [str(endpoint_id)])
            state, head = reply(answer, tuple[bytes, bytes])
        if state == b"sealed" and (successor := await self.find_successor()) is not None:
            return await successor.endpoint_head(endpoint_id)
        return EntryId.parse(head)

    async def read_entries(
        self, partition: int, start: EntryId = START, end: EntryId = END, count: int = READ_COUNT
    ) -> AsyncGenerator[list[Entry]]:
        """Yield the raw entries from *start* to *end*, both included, in chunks of *count*."""
        reading = StreamReading(self.server, self.keys, partition, start.before())
        while not reading.is_at_end:
            if raw := await reading.step(end, count):
                yield entries_of(raw, partition)

    async def follow_entries(self, cursor: Cursor = END) -> AsyncGenerator[Entry]:
        """Yield every raw entry after *cursor*, for ever.

        While the server is away it waits, then continues where it was. If the stream was trimmed
        beyond the cursor, it continues with what is left: `History.follow_entries` continues in the
        archive, or reports what is missing.
        """
        cursors = await cursors_of(self, cursor)
        readings = [StreamReading(self.server, self.keys, *at) for at in cursors.items()]
        async with aclosing(follow(self.server, self.keys, readings)) as entries:
            async for entry in entries:
                yield entry


@asynccontextmanager
async def open_log(
    server: str | ServerSettings,
    *,
    namespace: str = NAMESPACE,
    partitions: int | None = None,
    source: str = "routestream",
) -> AsyncIterator[EventLog]:
    """Open a log to append to it and read it; one that does not exist is created.

    Args:
        server: The server's URL, or its settings.
        namespace: The log's namespace on the server.
        partitions: How many the log is created with, 1 to 1,024, or must have been; None: as many
            as it has, one for a new log.
        source: Name of the producer, which each event will have.

    Raises:
        LayoutError: The log was created with another number of partitions, or *partitions* is out
            of range.
        ServerUnavailableError: The server cannot be reached.
        ServerRefusedError: The server is too old, or refuses access.
        ValueError: *server* is not the URL of a Redis server.
    """
    settings = server if isinstance(server, ServerSettings) else ServerSettings(url=server)
    async with open_server(settings) as opened:
        log = await EventLog.open(opened, Keys(namespace), partitions=partitions, source=source)
        try:
            yield log
        finally:
            await log.aclose()


def _settings_at(settings: ServerSettings, url: str) -> ServerSettings:
    """Return *settings* for the server at *url*, with the user and the password that they have."""
    own = parse_server_url(settings.url)
    if own.username is None and own.password is None:
        return replace(settings, url=url)
    secret = "" if own.password is None else f":{quote(own.password, safe='')}"
    login = f"{quote(own.username or '', safe='')}{secret}@"
    return replace(settings, url=url.replace("://", f"://{login}", 1))


def _is_sealed(error: AppendError) -> bool:
    return isinstance(error, SealedLogError) or isinstance(error.__cause__, SealedLogError)
