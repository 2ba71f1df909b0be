"""A task is cancelled in the middle of a command: no answer is ever taken for another's."""

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest

from events.log.log import EventLog, open_log
from events.server.settings import ServerSettings
from tests.support.running_consumer import (
    Handling,
    consumer_of,
    consuming,
    created,
    dying,
    until_settled,
)
from tests.support.script_calls import call_of
from tests.support.tcp_proxy import TcpProxy


@pytest.fixture
async def through(proxy: TcpProxy, namespace: str) -> AsyncIterator[EventLog]:
    settings = ServerSettings(url=proxy.url, connections_max=1)
    async with open_log(settings, namespace=namespace, source="test") as opened:
        yield opened


@pytest.mark.parametrize("checkpoints", range(12))
async def test_after_a_cancelled_command_the_next_one_has_its_own_answer(
    through: EventLog, checkpoints: int
) -> None:
    client = through.server.client

    async def ask(number: int) -> None:
        assert await client.call("ECHO", f"{number}") == f"{number}".encode()

    for number in range(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, number)
            for _ in range(checkpoints):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await ask(100 + number)


async def test_an_append_cancelled_while_its_answer_is_awaited_is_in_the_log_once(
    log: EventLog, through: EventLog, proxy: TcpProxy
) -> None:
    await through.append(created())
    held = proxy.hold_next(b"EVALSHA")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(through.append, created())
        await held.arrived.wait()
        tasks.cancel_scope.cancel()
    await held.release()
    last = (await through.append(created())).entry_ids

    found = [one.entry_id async for one in log.read()]
    assert len(found) == 3
    assert found[-1:] == list(last)


@pytest.mark.parametrize(
    "command",
    [
        b"XREADGROUP",
        pytest.param(call_of("consumers.runtime", "acknowledge"), id="acknowledge"),
        b"XPENDING",
        pytest.param(call_of("consumers.runtime", "join"), id="join"),
    ],
)
async def test_a_consumer_cancelled_in_the_middle_of_a_command_loses_nothing(
    log: EventLog, through: EventLog, proxy: TcpProxy, command: bytes
) -> None:
    """The command goes on to the server when nobody waits for its answer any more."""
    first, second = Handling(), Handling()
    held = proxy.hold_next(command)
    async with dying(consumer_of(through, first, name="first")):
        before = list((await log.append(created(), created(), created())).entry_ids)
        with anyio.fail_after(10):
            await held.arrived.wait()
    await held.release()

    async with consuming(consumer_of(log, second, name="second")):
        after = list((await log.append(created())).entry_ids)
        await second.until_handled(*after)
        await until_settled(log)

    assert set(first.calls.values()) <= {1}
    assert set(second.calls.values()) <= {1}
    handled = [*first.handled, *second.handled]
    assert sorted(handled) == [*before, *after], "each was handled by one of them, once"
