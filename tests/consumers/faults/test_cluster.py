"""A node of a cluster that is not whole: what it refuses for a while is waited for."""

from collections.abc import AsyncIterator, Iterator

import pytest
from structlog.testing import capture_logs

from consumers.embedded import EmbeddedServer
from events.errors import ServerUnavailableError
from events.log import EventLog, open_log
from events.server import Client
from tests.consumers.consumer_bench import (
    Handling,
    consumer_of,
    consuming,
    created,
    dead_letters,
    until_settled,
)
from tests.consumers.faults.logged import until_said
from tests.servers import SLOTS, asking, cluster_node, until_answering, without_a_slot
from tests.waiting import wait_until

pytestmark = pytest.mark.anyio


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
        told = (await client.call("CLUSTER NODES")).items()
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
    with capture_logs() as logs:
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
        slot = await client.call("CLUSTER KEYSLOT", log.keys.events(0))
        await client.call("CLUSTER", "SETSLOT", slot, "MIGRATING", await the_other(client))
        with pytest.raises(ServerUnavailableError, match=r"(?i)multiple keys"):
            await log.append(created())
        await client.call("CLUSTER", "SETSLOT", slot, "STABLE")
        after = (await log.append(created(), created())).entry_ids
        await handling.until_handled(*after)
        await until_settled(log)

    assert dict(handling.calls) == dict.fromkeys([*before, *after], 1)
    assert [one.entry_id async for one in log.read()] == [*before, *after]
