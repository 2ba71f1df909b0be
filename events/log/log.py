"""The log: all events of a deployment, on one Redis stream for each partition."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Self
from uuid import UUID

from events.entry.entry_id import END, START, EntryId
from events.entry.recorded import Entry, entries_of
from events.errors import LayoutError
from events.log.append import Append
from events.log.batch import Batch, Durability
from events.log.keys import NAMESPACE, Keys, check_partitions, partition_of
from events.log.layout import (
    Layout,
    keep_layout,
    log_exists,
    other_partitions,
    read_identity,
    read_layout,
)
from events.log.protocol import READ_COUNT, AppendableLog, Cursor, cursors_of
from events.log.reading import StreamReading, follow
from events.server.reply import reply, reply_entries
from events.server.server import Server, open_server
from events.server.settings import ServerSettings


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
    ) -> Self:
        """Open the log on *server*, or create it with *partitions* (one unless given).

        Without *create* nothing is written; a log that does not exist reads as an empty one.

        Raises:
            LayoutError: The log was created with another number of partitions, its layout holds no
                valid number, or is missing although keys of the log are there.
        """
        layout = await read_layout(server.client, keys)
        if layout is None:
            layout = Layout(check_partitions(1 if partitions is None else partitions))
        elif partitions not in {None, layout.partitions}:
            raise other_partitions(keys, layout.partitions, partitions)
        if create and layout.copy_of is not None:
            raise LayoutError(
                f"the log {keys.namespace!r} is being copied from log {layout.copy_of}; nothing"
                " else writes to it until that is done"
            )
        if create and not layout.is_complete:
            layout = await keep_layout(server.client, keys, layout)
        return cls(server, keys, layout, source)

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
        """Return the id of the endpoint's last event, `START` when it has none."""
        keys = self.keys.of_append(partition_of(endpoint_id, self.partitions))
        while (head := reply(await self._head(keys, [str(endpoint_id)]), bytes)) == b"behind":
            pass  # each call counts some more of the entries that other programs have added
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
        yield await EventLog.open(opened, Keys(namespace), partitions=partitions, source=source)


@asynccontextmanager
async def log_to_read(
    log: EventLog | str | ServerSettings,
    *,
    namespace: str = NAMESPACE,
    partitions: int | None = None,
) -> AsyncIterator[EventLog]:
    """Use an open log, which stays open, or open one for reading alone: nothing is written.

    See `open_log`, which has the same arguments, for what it raises.

    Raises:
        LayoutError: The log does not exist and *partitions* does not say how many it will have; or
            *log* is open, and not the one that *namespace* and *partitions* name.
    """
    if isinstance(log, EventLog):
        _refuse_another(log, namespace, partitions)
        yield log
        return
    settings = log if isinstance(log, ServerSettings) else ServerSettings(url=log)
    keys = Keys(namespace)
    async with open_server(settings) as server:
        if partitions is None and await read_layout(server.client, keys) is None:
            raise LayoutError(
                f"there is no log {namespace!r} at {server.address} to read; start what records"
                " first, or give the number of partitions that the log will have"
            )
        yield await EventLog.open(server, keys, partitions=partitions, create=False)


def _refuse_another(log: EventLog, namespace: str, partitions: int | None) -> None:
    if namespace not in {NAMESPACE, log.keys.namespace}:
        raise LayoutError(
            f"namespace: the open log is {log.keys.namespace!r}, not {namespace!r};"
            " leave it out, or give the server in place of the log"
        )
    if partitions not in {None, log.partitions}:
        raise LayoutError(f"partitions: the open log has {log.partitions}, not {partitions}")
