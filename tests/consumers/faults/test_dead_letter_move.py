"""A process, or the server, is killed in the middle of a dead-letter move."""

from collections.abc import AsyncIterator

import pytest

from consumers.processes.embedded import EmbeddedServer
from events.entry.entry_id import EntryId
from events.log.log import EventLog, open_log
from events.server.script import script_text
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.group_process import Processes, processes
from tests.support.running_consumer import (
    add_raw,
    created,
    dead_letters,
    pending,
    states,
    until_dead,
    until_settled,
)
from tests.support.script_calls import call_of
from tests.support.servers import until_answering
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import wait_until

NAME = ROUTE_TABLE.name
MOVE = call_of("consumers.runtime", "dead_letter")


@pytest.fixture
async def log(own_server: EmbeddedServer, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(own_server.url, namespace=namespace, source="test") as opened:
        await opened.server.client.call(
            "SCRIPT LOAD", script_text("consumers.runtime", "dead_letter")
        )
        yield opened


@pytest.fixture
async def started(log: EventLog, own_server: EmbeddedServer) -> AsyncIterator[Processes]:
    async with processes(log, own_server.url) as some:
        yield some


@pytest.fixture
async def proxy(own_server: EmbeddedServer) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(own_server.port) as opened:
        yield opened


async def append_one_bad(log: EventLog) -> EntryId:
    """Append an entry that nobody can read, between two good ones."""
    await log.append(created())
    bad = await add_raw(log, b"name", b"endpoint_created", b"payload", b"no JSON")
    await log.append(created())
    return bad


async def assert_one_dead(log: EventLog, bad: EntryId) -> None:
    await until_settled(log, NAME)
    assert [one.original.entry_id for one in await dead_letters(log, NAME)] == [bad]
    assert await pending(log, NAME) == {}
    assert len(await states(log, ROUTE_TABLE)) == 2


async def test_killed_before_its_move_arrived_another_moves_it(
    log: EventLog, started: Processes, proxy: TcpProxy
) -> None:
    victim = await started.start(NAME, "victim", url=proxy.url)
    held = proxy.hold_next(MOVE)
    bad = await append_one_bad(log)
    await held.arrived.wait()
    await victim.kill()
    assert await dead_letters(log, NAME) == []

    await started.start(NAME, "other")
    await until_dead(log, 1, NAME)
    await held.release()

    await assert_one_dead(log, bad)


async def test_killed_when_its_move_was_done_and_it_did_not_know_it_is_moved_once(
    log: EventLog, started: Processes, proxy: TcpProxy
) -> None:
    victim = await started.start(NAME, "victim", url=proxy.url)
    held = proxy.hold_next(MOVE)
    bad = await append_one_bad(log)
    await held.arrived.wait()
    victim.freeze()
    await held.release()
    await victim.kill()

    await started.start(NAME, "other")
    await log.append(created())
    await until_settled(log, NAME)

    assert [one.original.entry_id for one in await dead_letters(log, NAME)] == [bad]
    assert len(await states(log, ROUTE_TABLE)) == 3


async def test_the_server_killed_before_it_moved_anything_has_it_moved_when_it_is_back(
    own_server: EmbeddedServer, log: EventLog, started: Processes, proxy: TcpProxy
) -> None:
    await started.start(NAME, "first", url=proxy.url)
    held = proxy.hold_next(MOVE)
    bad = await append_one_bad(log)
    await held.arrived.wait()
    own_server.kill()
    held.released.set()
    own_server.start()
    await until_answering(log.server.client, "PING")

    await assert_one_dead(log, bad)


async def test_the_server_killed_right_after_it_moved_an_entry_has_it_dead_once(
    own_server: EmbeddedServer, log: EventLog, started: Processes, proxy: TcpProxy
) -> None:
    await log.server.client.call("CONFIG", "SET", "appendfsync", "always")
    await started.start(NAME, "first", url=proxy.url)
    proxy.lose_next_reply_to(MOVE)
    bad = await append_one_bad(log)
    await wait_until(lambda: proxy.lost == 1, "the move is done, its reply is lost")
    own_server.kill()
    own_server.start()
    await until_answering(log.server.client, "PING")

    await assert_one_dead(log, bad)
