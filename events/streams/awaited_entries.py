"""Wait for new entries of several streams, wherever each of them lies."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import anyio

from events.entry.entry_line import RawEntry
from events.errors import EventsError, first_failure
from events.server.client import Client
from events.server.reply import reply_streams
from events.server.server import Server

Found = Sequence[tuple[bytes, Sequence[RawEntry]]]
"""Streams, and the entries that were found in each."""


class AwaitedEntries:
    """Reads that wait, on connections of their own: one for each server or slot that has streams.

    After a failure the next read connects again, to where the streams lie then.
    """

    def __init__(self, server: Server, streams: Sequence[str], block_ms: int) -> None:
        self._server = server
        self._streams = streams
        self._block_ms = block_ms
        self._connections = AsyncExitStack()
        self._reads: list[tuple[Client, list[str]]] = []

    @classmethod
    @asynccontextmanager
    async def open(
        cls, server: Server, streams: Sequence[str], block_ms: int
    ) -> AsyncIterator[Self]:
        """Prepare reads of *streams* that wait up to *block_ms*; close their connections."""
        awaited = cls(server, streams, block_ms)
        try:
            yield awaited
        finally:
            await awaited._close()

    async def read(self, after: Mapping[str, str | bytes], count: int) -> Found:
        """Return up to *count* entries of each stream behind *after*; wait until there are some.

        None came in time if nothing is returned. A read that is cancelled takes nothing.
        """
        try:
            if not self._reads:
                await self._connect()
            if len(self._reads) == 1:
                [(client, streams)] = self._reads
                return await self._read(client, streams, after, count)
            return await self._read_first(after, count)
        except EventsError:
            await self._close()
            raise

    async def _read_first(self, after: Mapping[str, str | bytes], count: int) -> Found:
        """Read everywhere at once; the first that finds something ends the other waits."""
        found: list[tuple[bytes, Sequence[RawEntry]]] = []

        async def read(client: Client, streams: Sequence[str]) -> None:
            found.extend(await self._read(client, streams, after, count))
            if found:
                tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                for client, streams in self._reads:
                    tasks.start_soon(read, client, streams)
        except ExceptionGroup as failed:
            raise first_failure(failed) from failed
        return found

    async def _read(
        self, client: Client, streams: Sequence[str], after: Mapping[str, str | bytes], count: int
    ) -> Found:
        positions = [after[stream] for stream in streams]
        wait = ("COUNT", count, "BLOCK", self._block_ms, "STREAMS")
        return reply_streams(await client.call("XREAD", *wait, *streams, *positions))

    async def _connect(self) -> None:
        reads: list[tuple[Client, list[str]]] = []
        for streams in self._shared():
            blocking = self._server.blocking(streams[0], self._block_ms)
            client = await self._connections.enter_async_context(blocking)
            reads.append((client, streams))
        self._reads = reads

    def _shared(self) -> list[list[str]]:
        """Return the streams, together where one command may name them."""
        shared: list[list[str]] = []
        for stream in self._streams:
            for others in shared:
                if self._server.share_a_command(others[0], stream):
                    others.append(stream)
                    break
            else:
                shared.append([stream])
        return shared

    async def _close(self) -> None:
        self._reads.clear()
        await self._connections.aclose()
