"""Reads new entries: those that no consumer of the group was given before."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Self

from redis.asyncio.connection import AbstractConnection

from consumers.runtime.group_history import GroupHistory
from consumers.runtime.outcome import Delivery
from events.entry.codec import ENTRY_BYTES_MAX
from events.entry.recorded import bounded_entries_of
from events.errors import ServerRefusedError, ServerUnavailableError
from events.log.keys import Keys
from events.log.read_size import ReadSize
from events.server.client import NodeClient
from events.server.reply import reply, reply_streams
from events.server.script import ForgottenScriptError
from events.server.server import Server
from events.server.translation import translation

_LOOK_HOLDS_S = 0.1
"""A look behind one read is also the look before the next, if that follows so soon."""

_LOOK_HOLDS_ENTRIES = 50
"""And if the read gave no more: to count through those that ended since would take longer."""


class NewEntries:
    """Reads one partition for one consumer, on a connection of its own.

    Asking and receiving are two steps, so that Redis can look for the next entries while the
    previous ones are processed.

    Attributes:
        is_asked: Whether a reply is still to be received.
        count: The limit of the last request, in entries.
    """

    def __init__(
        self,
        reach: tuple[AbstractConnection, NodeClient],
        place: tuple[Keys, int],
        member: tuple[str, str],
        history: GroupHistory,
    ) -> None:
        keys, self._partition = place
        self._connection, self._node = reach
        self._connection_id: int | None = None
        self._stream = keys.events(self._partition)
        self._group, self._name = member
        self._history = history
        self.is_asked = False
        self.count = 0
        self._look: tuple[str | bytes | int, ...] = ()
        self._has_look_before = False
        self._looked_at = float("-inf")
        self._arrived = 0

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        server: Server,
        place: tuple[Keys, int],
        member: tuple[str, str],
        history: GroupHistory,
        block_ms: int,
    ) -> AsyncIterator[Self]:
        """Open the connection for *member*, group and consumer; close it at the end."""
        keys, partition = place
        async with server.blocking(keys.events(partition), block_ms) as client:
            with translation():
                connection = await client.connection_pool.get_connection()
            yield cls((connection, server.node(client.place)), place, member, history)

    async def introduce(self, name: str) -> None:
        """Name the connection *name*, and learn its id, by which `wake` finds it.

        If the server refuses that, the connection waits to its end.
        """
        with suppress(ServerRefusedError):
            await self._send(("CLIENT", "SETNAME", name))
            await self._receive()
            await self._send(("CLIENT", "ID"))
            self._connection_id = reply(await self._receive(), int)

    async def wake(self) -> None:
        """End a wait: a read that is cancelled may have taken entries, one that is woken has none.

        The server that waits is asked: on another one, the id may be a stranger's.
        """
        if self._connection_id is not None:
            with suppress(ServerUnavailableError, ServerRefusedError):
                await self._node.call("CLIENT UNBLOCK", self._connection_id)

    async def ask(self, count: int, block_ms: int) -> None:
        """Let Redis look for up to *count* entries, waiting up to *block_ms* for the first.

        Does nothing while a reply is still to be received.
        """
        if not self.is_asked:
            self.is_asked = True
            self.count = count
            read = (
                *("XREADGROUP", "GROUP", self._group, self._name),
                *("COUNT", count, "BLOCK", block_ms, "STREAMS", self._stream, ">"),
            )
            # In one turn of the connection: a read that need not wait is between two looks.
            self._look = look = self._history.look_command()
            self._has_look_before = (
                self._arrived > _LOOK_HOLDS_ENTRIES or monotonic() - self._looked_at > _LOOK_HOLDS_S
            )
            await self._send(*((look,) if self._has_look_before else ()), read, look)

    async def receive(self) -> list[Delivery]:
        """Return the entries that were found; none if the wait timed out."""
        look = self._look
        looks = [await self._receive_look(look)] if self._has_look_before else []
        found = reply_streams(await self._receive("XREADGROUP", "STREAMS", self._stream, ">"))
        looks.append(await self._receive_look(look))
        self.is_asked, self._looked_at = False, monotonic()
        for raw in looks:
            if raw is None:
                await self._history.look()
            else:
                await self._history.take_look(raw)
        entries = bounded_entries_of(found[0][1], self._partition, ENTRY_BYTES_MAX) if found else []
        self._arrived = len(entries)
        return [Delivery(entry) for entry in entries]

    async def outstanding(self) -> list[Delivery]:
        """Return what was requested but not yet received; nothing without a request."""
        return await self.receive() if self.is_asked else []

    async def _receive_look(self, look: Sequence[str | bytes | int]) -> object | None:
        """Return what a look has found, None if the server no longer has its script."""
        try:
            return await self._receive(*look)
        except ForgottenScriptError:
            return None

    async def _send(self, *commands: Sequence[str | bytes | int]) -> None:
        with translation():
            packed = self._connection.pack_commands(commands)
            await self._connection.send_packed_command(packed)

    async def _receive(self, *command: str | bytes | int) -> object:
        with translation(command):
            return await self._connection.read_response()


_SAMPLE_MAX = 64


class BatchSize(ReadSize):
    """The size of the batches of a consumer."""

    def note_batch(self, batch: Sequence[Delivery]) -> None:
        """Adapt the count to a batch that was read."""
        sample = batch[:: max(1, len(batch) // _SAMPLE_MAX)]
        size = sum(len(value) for delivery in sample for value in delivery.entry.fields.values())
        largest = max((delivery.entry.oversized_bytes for delivery in batch), default=0)
        # After one that is too large the next ones may be, too.
        self.adapt(len(sample), max(size, largest * len(sample)))
