"""A model server that speaks HTTP/2 without TLS, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError


class _H2Protocol(asyncio.Protocol):
    """One connection, on which every request is answered alike."""

    def __init__(self, answer: bytes, opened: set[asyncio.Transport]) -> None:
        self._answer, self._opened = answer, opened
        self._connection = H2Connection(H2Configuration(client_side=False))
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._opened.add(transport)
        self._connection.initiate_connection()
        self._send()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._connection.receive_data(data)
        except ProtocolError:
            self._transport.close()
            return
        for event in events:
            if isinstance(event, RequestReceived):
                headers = ((":status", "200"), ("content-length", str(len(self._answer))))
                self._connection.send_headers(event.stream_id, headers)
                self._connection.send_data(event.stream_id, self._answer, end_stream=True)
        self._send()

    def connection_lost(self, _: Exception | None) -> None:
        self._opened.discard(self._transport)

    def _send(self) -> None:
        self._transport.write(self._connection.data_to_send())


@asynccontextmanager
async def h2_server(answer: str) -> AsyncIterator[int]:
    """Answer every request with *answer* during the block; yield the port."""
    opened: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _H2Protocol(answer.encode(), opened), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for transport in list(opened):
            transport.abort()
        await asyncio.sleep(0)  # they are closed in the next round
