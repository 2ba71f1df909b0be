"""A model server that speaks HTTP/2 without TLS, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketStream
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from consumers.processes.embedded import free_port

_READ_BYTES = 65_536


@asynccontextmanager
async def h2_server(answer: str) -> AsyncIterator[int]:
    """Answer every request with *answer* during the block; yield the port."""
    port = free_port()

    async def serve(stream: SocketStream) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        async with stream:
            while True:
                await stream.send(connection.data_to_send())
                try:
                    received = connection.receive_data(await stream.receive(_READ_BYTES))
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return
                for event in received:
                    if isinstance(event, RequestReceived):
                        headers = ((":status", "200"), ("content-length", str(len(answer))))
                        connection.send_headers(event.stream_id, headers)
                        connection.send_data(event.stream_id, answer.encode(), end_stream=True)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield port
        tasks.cancel_scope.cancel()
