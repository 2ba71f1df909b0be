"""Commands that borrow connections, where these are few."""

import anyio
import pytest

from events.errors import ServerUnavailableError
from events.server.client import NodeClient
from events.server.server import Server
from events.server.settings import ServerSettings
from tests.support.waiting import wait_until


async def until_lent(node: NodeClient, count: int) -> None:
    lent = node.connection_pool._in_use_connections
    await wait_until(lambda: len(lent) == count, f"{count} connections are lent")


async def test_commands_wait_for_each_others_connections_and_leave_none_out(redis_url: str) -> None:
    server = Server(ServerSettings(url=redis_url, connections_max=2))
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await server.client.call("PING"))

    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(ask)
        node = await server.at("")
        # A cancellation gives the connection back, too.
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(node.call, "BLPOP", "nothing", 0)
            tasks.start_soon(node.call, "BLPOP", "nothing", 0)
            await until_lent(node, 2)
            tasks.cancel_scope.cancel()
        await ask()
    finally:
        await server.aclose()
    assert answers == [True] * 51


async def test_a_command_that_finds_no_connection_in_time_says_so(redis_url: str) -> None:
    server = Server(ServerSettings(url=f"{redis_url}?timeout=0.05", connections_max=1))
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.client.call, "BLPOP", "nothing", 0)
            node = await server.at("")
            await until_lent(node, 1)
            with pytest.raises(ServerUnavailableError, match="connections_max are in use"):
                await server.client.call("PING")
            tasks.cancel_scope.cancel()
    finally:
        await server.aclose()
