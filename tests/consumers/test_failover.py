"""A replica takes over that lacks what was written last; a primary becomes a replica."""

from collections.abc import AsyncIterator, Iterator

import pytest

from consumers.processes.embedded import EmbeddedServer, embedded_server
from consumers.runtime.consumer import Consumer
from consumers.runtime.losses import Losses
from consumers.runtime.projector import Projector
from events.entry.entry_id import EntryId
from events.errors import ServerUnavailableError
from events.log.accepted_loss import accept_loss
from events.log.layout import Layout
from events.log.log import EventLog, open_log
from events.log.partition_identity import read_partition_identity
from events.server.server import open_server
from events.server.settings import ServerSettings
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    QUICK,
    Handling,
    consumer_of,
    consuming,
    created,
    fill,
    folded_in_order,
    is_settled,
    states,
    until_settled,
)
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import wait_until

NAME = ROUTE_TABLE.name


@pytest.fixture
def replica(own_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    with embedded_server("--replicaof", f"127.0.0.1 {own_server.port}") as server:
        yield server


@pytest.fixture
async def proxy(own_server: EmbeddedServer) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(own_server.port) as opened:
        yield opened


@pytest.fixture
async def through(proxy: TcpProxy, namespace: str) -> AsyncIterator[EventLog]:
    """The log as it is seen through what leads to the present primary."""
    async with open_log(proxy.url, namespace=namespace, source="test") as opened:
        yield opened


async def until_replicated(log: EventLog, replica: EmbeddedServer) -> None:
    async with open_server(ServerSettings(url=replica.url)) as server:
        there = EventLog(server, log.keys, log.layout, "test")

        async def same() -> bool:
            return await there.head(0) == await log.head(0) and await is_settled(there, NAME)

        await wait_until(same, "the replica has what the primary has")


async def promote(replica: EmbeddedServer) -> None:
    async with open_server(ServerSettings(url=replica.url)) as there:
        await there.client.call("REPLICAOF", "NO", "ONE")


async def until_it_answers(log: EventLog) -> None:
    async def answers() -> bool:
        try:
            await log.head(0)
        except ServerUnavailableError:
            return False
        return True

    await wait_until(answers, "the new primary answers")


async def until_missing(log: EventLog) -> None:
    """Wait until the projectors have said that they wait for what they had read."""

    async def is_said() -> bool:
        held = await read_partition_identity(log.server.client.call, log.keys, 0)
        return NAME in held.missing

    await wait_until(is_said, "the projectors wait")


def projecting(log: EventLog) -> Consumer:
    return consumer_of(log, Projector(log, ROUTE_TABLE, 0, QUICK.policy), group=NAME)


async def test_a_failover_that_lost_writes_is_told_and_gone_on_from_once_that_is_accepted(
    own_server: EmbeddedServer, replica: EmbeddedServer, proxy: TcpProxy, through: EventLog
) -> None:
    with captured_lines() as logs:
        async with consuming(projecting(through)):
            await fill(through, 5)
            await until_settled(through, NAME)
            await until_replicated(through, replica)
            await promote(replica)
            lost = (await through.append(*(created() for _ in range(7)))).entry_ids
            await until_settled(through, NAME)
            assert len(await states(through, ROUTE_TABLE)) == 12

            proxy.retarget(replica.port)
            own_server.kill()
            await until_it_answers(through)
            before = await states(through, ROUTE_TABLE)
            await fill(through, 3)
            await until_missing(through)
            assert await states(through, ROUTE_TABLE) == before
            await accept_loss(through.server.client, through.keys, through.layout)
            await until_settled(through, NAME)

            assert await states(through, ROUTE_TABLE) == await folded_in_order(through, ROUTE_TABLE)
            assert len(await states(through, ROUTE_TABLE)) == 8

    [said] = [one for one in logs if one["event"] == "history_lost"]
    assert (said["why"], said["entries"]) == ("rewound", 7)
    assert said["entry_ids"] == [str(one) for one in lost]
    assert await Losses(through.server, through.keys, 0, NAME).total() == 7


async def test_a_primary_that_became_a_replica_is_waited_for(
    own_server: EmbeddedServer, replica: EmbeddedServer, proxy: TcpProxy, through: EventLog
) -> None:
    handling = Handling()
    async with consuming(consumer_of(through, handling)):
        before = (await through.append(*(created() for _ in range(5)))).entry_ids
        await handling.until_handled(*before)
        await until_settled(through)

        await promote(replica)
        async with open_server(ServerSettings(url=own_server.url)) as old:
            await old.client.call("REPLICAOF", "127.0.0.1", replica.port)
        proxy.retarget(replica.port)
        await until_it_answers(through)
        after: list[EntryId] = list((await through.append(created(), created())).entry_ids)
        await handling.until_handled(*after)
        await until_settled(through)

    assert dict(handling.calls) == dict.fromkeys([*before, *after], 1)


async def test_a_server_that_came_back_without_its_file_is_begun_on_once_that_is_accepted(
    namespace: str,
) -> None:
    with embedded_server("--appendonly", "no") as server, captured_lines() as logs:
        async with open_log(server.url, namespace=namespace, source="test") as log:
            async with consuming(projecting(log)):
                await until_settled(log, NAME)
                await fill(log, 4)
                await until_settled(log, NAME)
                server.kill()
                server.start()
                await until_it_answers(log)
                await fill(log, 2)
                await until_missing(log)
                assert await log.server.client.call("EXISTS", log.keys.live(0, NAME)) == 0
                await accept_loss(log.server.client, log.keys, Layout(1))
                await until_settled(log, NAME)

                assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)
                assert len(await states(log, ROUTE_TABLE)) == 2

            assert await Losses(log.server, log.keys, 0, NAME).total() == 24
    said = [one for one in logs if one["event"] == "history_lost"]
    assert {one["why"] for one in said} == {"rewound"}
    assert sum(int(str(one["entries"]).split()[0]) for one in said) == 24
