import gc
import socket

import aiohttp
import anyio
import pytest

from consumers.errors import ListenError
from consumers.processes.port_block import port_block
from consumers.publishers.backend_ai.unavailable_server import unavailable_server


@pytest.mark.parametrize("path", ["/", "/v1/chat?x=1"])
async def test_every_request_is_answered_with_503(path: str) -> None:
    with port_block() as ports:
        url = f"http://127.0.0.1:{ports[0]}{path}"
        async with (
            unavailable_server(ports[0]),
            aiohttp.ClientSession() as session,
            session.post(url, data=b"x") as response,
        ):
            assert response.status == 503
            assert await response.text() == "no route is available\n"


async def test_connections_are_closed_also_where_the_server_is_cancelled() -> None:
    with port_block() as ports:
        async with aiohttp.ClientSession() as session:
            async with anyio.create_task_group() as tasks, unavailable_server(ports[0]):
                await session.get(f"http://127.0.0.1:{ports[0]}/")
                tasks.cancel_scope.cancel()
            gc.collect()  # pytest makes an error of a connection that was left open
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(f"http://127.0.0.1:{ports[0]}/")


async def test_a_port_that_is_taken_is_named_with_its_setting() -> None:
    with port_block() as ports, socket.socket() as taken:
        taken.bind(("0.0.0.0", ports[0]))  # noqa: S104 - to be in the way
        taken.listen()
        with pytest.raises(ListenError, match="placeholder_port"):
            async with unavailable_server(ports[0]):
                raise AssertionError
