"""New entries: what no consumer of the group was given before."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

from redis.asyncio.connection import AbstractConnection

from consumers.runtime.outcome import Delivery
from events.entry.recorded import entries_of
from events.log.keys import Keys
from events.server.reply import reply, reply_streams
from events.server.server import Server
from events.server.translation import translation


class NewEntries:
    """Reads one partition for one consumer, on a connection of its own.

    Asking and receiving are two steps, so that Redis can look for the next entries while those
    before are being processed.

    Attributes:
        is_asked: Whether an answer is still to be received.
        count: Entries that were asked for, at most.
    """

    def __init__(
        self, connection: AbstractConnection, keys: Keys, partition: int, group: str, name: str
    ) -> None:
        self._connection = connection
        self._stream = keys.events(partition)
        self._partition = partition
        self._group = group
        self._name = name
        self.is_asked = False
        self.count = 0

    @classmethod
    @asynccontextmanager
    async def open(
        cls, server: Server, keys: Keys, partition: int, of: tuple[str, str], block_ms: int
    ) -> AsyncIterator[Self]:
        """Open the connection for *of*, group and consumer; at the end cut it off."""
        async with server.blocking(block_ms) as client:
            with translation():
                connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            yield cls(connection, keys, partition, *of)

    async def introduce(self, name: str) -> int:
        """Call the connection *name*; return the server's number for it, by which it is woken."""
        await self._send("CLIENT", "SETNAME", name)
        await self._receive()
        await self._send("CLIENT", "ID")
        return reply(await self._receive(), int)

    async def ask(self, count: int, block_ms: int) -> None:
        """Let Redis look for up to *count* entries, waiting up to *block_ms* for the first.

        Does nothing while an answer is still to be received.
        """
        if not self.is_asked:
            self.is_asked = True
            self.count = count
            await self._send(
                *("XREADGROUP", "GROUP", self._group, self._name),
                *("COUNT", count, "BLOCK", block_ms, "STREAMS", self._stream, ">"),
            )

    async def receive(self) -> list[Delivery]:
        """Return what was found; nothing when the wait was in vain."""
        found = reply_streams(await self._receive("XREADGROUP", "STREAMS", self._stream, ">"))
        self.is_asked = False
        entries = entries_of(found[0][1], self._partition) if found else []
        return [Delivery(entry) for entry in entries]

    async def rest(self) -> list[Delivery]:
        """Return what was asked for and not received yet; nothing where nothing was asked for."""
        return await self.receive() if self.is_asked else []

    async def _send(self, *command: str | int) -> None:
        with translation():
            await self._connection.send_command(*command)

    async def _receive(self, *command: str) -> object:
        with translation(command):
            return await self._connection.read_response()


BATCH_BYTES = 16 * 1_048_576
"""What the entries of a batch shall take together, about."""


_FIRST = 256


_GROWTH = 4


_LOOKED_AT_MAX = 64


class BatchSize:
    """Begins small, grows where there is much to read, and shrinks where entries are large.

    Attributes:
        count: Entries to ask for next.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.count = min(most, _FIRST)

    def note(self, batch: Sequence[Delivery]) -> None:
        """Learn from a batch that was read."""
        some = batch[:: max(1, len(batch) // _LOOKED_AT_MAX)]
        size = sum(len(value) for one in some for value in one.entry.fields.values())
        fitting = BATCH_BYTES * len(some) // max(1, size)
        self.count = max(1, min(self._most, _GROWTH * self.count, fitting))
