import asyncio

import anyio
import pytest

from events import EventLog
from events.server.server import open_server
from events.server.settings import ServerSettings


@pytest.mark.parametrize("steps", range(1, 12))
async def test_a_cancellation_that_comes_while_a_command_is_sent_is_not_lost(
    log: EventLog, steps: int
) -> None:
    """Ctrl-C cancels the main task once, as here; anyio's scopes would say it again and again."""
    asking: list[asyncio.Task[object] | None] = []
    answered: list[object] = []

    async def ask() -> None:
        asking.append(asyncio.current_task())
        answered.append(await log.server.client.call("BLPOP", log.keys.layout + ":none", 5))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            for task in asking:
                assert task is not None
                task.cancel()
    assert answered == []
    assert await log.server.client.call("ECHO", "there") == b"there"


async def test_a_read_may_wait_for_longer_than_a_command_may_take(redis_url: str) -> None:
    async with (
        open_server(ServerSettings(url=redis_url, timeout_s=1.0)) as server,
        server.blocking("no-such-stream", 1_200) as client,
    ):
        found = await client.call("XREAD", "BLOCK", 1_200, "STREAMS", "no-such-stream", "0")
    assert not found
