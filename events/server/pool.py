"""The connections of one client, of which each command borrows one."""

from typing import Any

import anyio
import redis.exceptions as redis_errors
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection


class NeverSentError(redis_errors.ConnectionError):
    """There was no connection to send on: the command has certainly not been carried out."""


class Pool(ConnectionPool):
    """At most *max_connections*; a command that finds none free waits for one.

    redis-py's own blocking pool spends on lending a connection about as much as on all else that a
    command needs.

    Attributes:
        timeout: How long a command waits for a connection, in seconds.
    """

    def __init__(self, *, max_connections: int, timeout: float, **options: Any) -> None:  # noqa: ANN401 - redis-py's
        super().__init__(max_connections=max_connections, **options)
        self.timeout = timeout
        self._free = anyio.Semaphore(max_connections, fast_acquire=True)

    async def get_connection(self, *_command: Any, **_options: Any) -> AbstractConnection:  # noqa: ANN401 - redis-py's
        """Lend a connection on which nothing is left to be read; whoever gets it releases it.

        Raises:
            NeverSentError: None was free in time, or it could not be connected.
        """
        try:
            self._free.acquire_nowait()
        except anyio.WouldBlock:
            await self._until_free()
        connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def _until_free(self) -> None:
        try:
            with anyio.fail_after(self.timeout):
                await self._free.acquire()
        except TimeoutError:
            raise NeverSentError("No connection available.") from None

    async def release(self, connection: AbstractConnection) -> None:
        """Take a connection back."""
        self._in_use_connections.remove(connection)
        self._available_connections.append(connection)
        self._free.release()

    async def cut(self) -> None:
        """End all connections at once, also those that are lent, without waiting for a server."""
        for connection in (*self._available_connections, *self._in_use_connections):
            await connection.disconnect(nowait=True)
