"""Scripts of which the server knows nothing: it was flushed, or has started anew."""

from collections.abc import AsyncIterator

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer
from events import EventLog, open_log
from events.errors import NotDurableError
from events.log.batch import Durability
from tests.support.running_consumer import created
from tests.support.tcp_proxy import TcpProxy, tcp_proxy


@pytest.fixture
async def proxy(own_server: EmbeddedServer) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(own_server.port) as opened:
        yield opened


async def test_one_that_is_forgotten_runs_all_the_same_and_is_known_again(
    proxy: TcpProxy, own_log: EventLog
) -> None:
    async with open_log(proxy.url, namespace=own_log.keys.namespace, source="test") as log:
        await log.append(created())
        await own_log.server.client.call("SCRIPT FLUSH")
        await log.append(created())
        whole = proxy.hold_next(b"EVAL\r\n")
        await log.append(created())
    assert not whole.arrived.is_set()
    assert len([one async for one in own_log.read()]) == 3


async def test_one_that_is_forgotten_before_it_is_asked_how_safe_an_append_is(
    proxy: TcpProxy, own_log: EventLog
) -> None:
    async def append_safely() -> None:
        with pytest.raises(NotDurableError, match="replicas are 0"):
            await log.append(created(), durability=Durability(replicas=1, timeout_ms=100))

    async with open_log(proxy.url, namespace=own_log.keys.namespace, source="test") as log:
        question = proxy.hold_next(b"\r\nWAIT\r\n")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(append_safely)
            with anyio.fail_after(10):
                await question.arrived.wait()
            await own_log.server.client.call("SCRIPT FLUSH")
            await question.release()
    assert len([one async for one in own_log.read()]) == 1
