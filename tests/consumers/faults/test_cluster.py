"""A node of a cluster that is not whole: what it refuses for a while is waited for."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain
from uuid import uuid4

import pytest

from consumers.errors import UnprocessableError
from consumers.processes.embedded import EmbeddedServer
from consumers.runtime.consumer import Consumer
from consumers.runtime.projector import Projector
from events.catalogue.endpoint import EndpointDestroyedEvent
from events.catalogue.event import Event, new_event_id
from events.entry.codec import encode
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from events.errors import ServerUnavailableError
from events.log.log import EventLog, open_log
from events.server.client import Client
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.handler_group import handler_consumer_of, handling_with
from tests.consumers.support.logged import until_said
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    QUICK,
    Handling,
    add_raw,
    consumer_of,
    consuming,
    created,
    dead_letters,
    documents,
    folded_in_order,
    states,
    until_settled,
)
from tests.support.servers import SLOTS, asking, cluster_node, until_answering, without_a_slot
from tests.support.waiting import wait_until

NAME = ROUTE_TABLE.name


@pytest.fixture
def nodes() -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    with cluster_node() as node, cluster_node() as other:
        yield node, other


@pytest.fixture
async def node(nodes: tuple[EmbeddedServer, EmbeddedServer]) -> EmbeddedServer:
    """Serves all slots, and knows of another node that serves none."""
    node, other = nodes
    async with asking(node) as client:
        await client.call("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        await client.call("CLUSTER", "MEET", "127.0.0.1", other.port, _bus_port(other))
        await until_answering(client, "SET", "anything", "there")
    return node


def _bus_port(server: EmbeddedServer) -> str:
    options = list(server._options)
    return options[options.index("--cluster-port") + 1]


@pytest.fixture
async def log(node: EmbeddedServer, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(node.url, namespace=namespace, source="test") as opened:
        yield opened


async def the_other(client: Client) -> str:
    """Return the id of the node that serves no slots, when it is known to be there."""
    others: list[str] = []

    async def known() -> bool:
        told = (await client.execute_command("CLUSTER NODES")).items()
        others[:] = [
            about["node_id"]
            for _, about in told
            if "myself" not in about["flags"] and "handshake" not in about["flags"]
        ]
        return bool(others)

    await wait_until(known, "the nodes know each other")
    return others[0]


async def test_a_cluster_that_is_down_is_waited_for(node: EmbeddedServer, log: EventLog) -> None:
    handling = Handling()
    with captured_lines() as logs:
        async with consuming(consumer_of(log, handling)):
            before = (await log.append(created(), created())).entry_ids
            await until_settled(log)
            async with without_a_slot(node):
                await until_said(logs, "server_unavailable", "cluster is down")
                with pytest.raises(ServerUnavailableError, match="cluster is down"):
                    await log.append(created())
            after = (await log.append(created(), created())).entry_ids
            await handling.until_handled(*after)
            await until_settled(log)

    assert dict(handling.calls) == dict.fromkeys([*before, *after], 1)
    assert [one.entry_id async for one in log.read()] == [*before, *after]
    assert await dead_letters(log) == []


async def test_a_slot_on_its_way_to_another_node_is_waited_for(
    node: EmbeddedServer, log: EventLog
) -> None:
    """TRYAGAIN: an append touches a key that is here, and one that is not there yet."""
    handling = Handling()
    async with asking(node) as client, consuming(consumer_of(log, handling)):
        before = (await log.append(created(), created())).entry_ids
        await until_settled(log)
        slot = await client.execute_command("CLUSTER KEYSLOT", log.keys.events(0))
        await client.call("DEL", log.keys.event_ids(0))
        await client.call("CLUSTER", "SETSLOT", slot, "MIGRATING", await the_other(client))
        with pytest.raises(ServerUnavailableError, match=r"(?i)multiple keys"):
            await log.append(created())
        await client.call("CLUSTER", "SETSLOT", slot, "STABLE")
        after = (await log.append(created(), created())).entry_ids
        await handling.until_handled(*after)
        await until_settled(log)

    assert dict(handling.calls) == dict.fromkeys([*before, *after], 1)
    assert [one.entry_id async for one in log.read()] == [*before, *after]


@asynccontextmanager
async def on_its_way(node: EmbeddedServer, log: EventLog) -> AsyncIterator[None]:
    """Let the log's slot be on its way to another node during the block."""
    async with asking(node) as client:
        slot = await client.execute_command("CLUSTER KEYSLOT", log.keys.events(0))
        await client.call("CLUSTER", "SETSLOT", slot, "MIGRATING", await the_other(client))
        yield
        await client.call("CLUSTER", "SETSLOT", slot, "STABLE")


async def append_raw(log: EventLog, event: Event) -> EntryId:
    """Append in the one way that a slot on its way leaves: a command of one key that is here."""
    return await add_raw(log, *chain.from_iterable(encode(event, new_event_id(), "test").items()))


def projector_of(log: EventLog) -> Consumer:
    return consumer_of(log, Projector(log, ROUTE_TABLE, 0, QUICK.policy), group=NAME)


async def test_what_was_read_is_applied_once_when_the_slot_is_back(
    node: EmbeddedServer, log: EventLog
) -> None:
    endpoint_id = uuid4()
    with captured_lines() as logs:
        async with consuming(projector_of(log)):
            await log.append(created(endpoint_id))
            await until_settled(log, NAME)
            async with on_its_way(node, log):
                await append_raw(log, created(endpoint_id))
                await until_said(logs, "server_unavailable", "ultiple keys")
            await until_settled(log, NAME)

    [(revision, _)] = (await documents(log, ROUTE_TABLE)).values()
    assert revision == 2
    assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)
    assert await dead_letters(log, NAME) == []


async def fail_at_the_end(recorded: RecordedEvent) -> None:
    if isinstance(recorded.event, EndpointDestroyedEvent):
        raise UnprocessableError("no")


async def test_what_was_given_up_is_one_dead_letter_when_the_slot_is_back(
    node: EmbeddedServer, log: EventLog
) -> None:
    handling = Handling()
    handling.before = fail_at_the_end
    with captured_lines() as logs:
        async with consuming(consumer_of(log, handling)):
            good = (await log.append(created())).entry_ids
            await until_settled(log)
            async with on_its_way(node, log):
                bad = await append_raw(log, EndpointDestroyedEvent(endpoint_id=uuid4()))
                await until_said(logs, "server_unavailable", "ultiple keys")
            await until_settled(log)
    assert [one.original.entry_id for one in await dead_letters(log)] == [bad]
    assert handling.handled == list(good)


async def test_an_owner_handles_each_entry_once_when_the_slot_is_back(
    node: EmbeddedServer, log: EventLog
) -> None:
    handling = Handling()
    with captured_lines() as logs:
        async with handling_with(handler_consumer_of(log, handling)):
            before = (await log.append(created())).entry_ids
            await handling.until_handled(*before)
            async with on_its_way(node, log):
                meanwhile = await append_raw(log, created())
                await until_said(logs, "server_unavailable", "ultiple keys")
            await handling.until_handled(meanwhile)
            await until_settled(log)
    assert dict(handling.calls) == dict.fromkeys([*before, meanwhile], 1)
    assert await dead_letters(log) == []
