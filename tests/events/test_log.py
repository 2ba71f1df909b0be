from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from consumers.processes.embedded import EmbeddedServer, embedded_server
from events import (
    FSYNC,
    START,
    Durability,
    EntryId,
    EventLog,
    open_log,
)
from events.errors import (
    LayoutError,
    ServerRefusedError,
    ServerUnavailableError,
)
from events.log.keys import Keys
from events.server.server import Server, open_server
from events.server.settings import ServerSettings
from tests.events.support.any_log import endpoint_in, lengths, ratio
from tests.support.waiting import wait_until


@pytest.fixture
async def four(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    """A log of four partitions."""
    async with open_log(redis_url, namespace=namespace, partitions=4) as opened:
        yield opened


async def test_a_server_without_a_file_is_asked_for_the_disk_in_vain(namespace: str) -> None:
    with embedded_server("--appendonly", "no") as server:
        async with open_log(server.url, namespace=namespace) as log:
            with pytest.raises(ServerRefusedError, match="appendonly yes; nothing was appended"):
                await log.append(ratio(uuid4()), durability=FSYNC)
            assert await lengths(log) == [0]


async def test_an_append_can_wait_for_a_replica(namespace: str) -> None:
    with (
        embedded_server("--repl-diskless-sync-delay", "0") as primary,
        embedded_server("--replicaof", "127.0.0.1", str(primary.port)) as replica,
    ):
        async with (
            open_log(primary.url, namespace=namespace) as log,
            open_server(ServerSettings(url=replica.url)) as server,
        ):
            await wait_until(lambda: is_linked(server), "the replica follows the primary")
            one = Durability(replicas=1, timeout_ms=20_000)
            await log.append(ratio(uuid4()), durability=one)
            assert await server.client.execute_command("XLEN", log.keys.events(0)) == 1
        replica.kill()  # it would stay to end the rewriting of its file


async def is_linked(replica: Server) -> bool:
    about = await replica.client.execute_command("INFO", "replication")
    return bool(about["master_link_status"] == "up")


async def test_entry_ids_are_ordered_as_numbers_over_all_partitions(four: EventLog) -> None:
    stamps = [(3, "5-0"), (0, "9-0"), (1, "9-1"), (3, "10-0"), (0, "10-1"), (2, "100-0")]
    endpoints = {p: endpoint_in(p, 4) for p in range(4)}
    for partition, stamp in stamps:
        payload = f'{{"endpoint_id":"{endpoints[partition]}"}}'
        of = ("name", "endpoint_destroyed", "payload", payload)
        await four.server.client.call("XADD", four.keys.events(partition), stamp, *of)
    read = [(one.partition, str(one.entry_id)) async for one in four.read()]
    assert read == stamps
    of_three = [str(one.entry_id) async for one in four.read(partition=3)]
    assert of_three == ["5-0", "10-0"]
    between = [str(one.entry_id) async for one in four.read(EntryId(9, 0), EntryId(10, 0))]
    assert between == ["9-0", "9-1", "10-0"]


async def test_a_log_keeps_its_number_of_partitions(redis_url: str, namespace: str) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=4):
        pass
    async with open_log(redis_url, namespace=namespace) as again:
        assert again.partitions == 4
    with pytest.raises(LayoutError, match="was made with 4, it cannot be opened with 2"):
        async with open_log(redis_url, namespace=namespace, partitions=2):
            pytest.fail("it was opened")


@pytest.mark.parametrize("partitions", [0, -1, 1_025])
async def test_a_number_of_partitions_has_limits(
    redis_url: str, namespace: str, partitions: int
) -> None:
    with pytest.raises(LayoutError, match="1 to 1024 are"):
        async with open_log(redis_url, namespace=namespace, partitions=partitions):
            pytest.fail("it was opened")


async def test_opening_a_log_only_to_read_writes_nothing(redis_url: str, namespace: str) -> None:
    async with open_server(ServerSettings(url=redis_url)) as server:
        log = await EventLog.open(server, Keys(namespace), create=False)
        assert [one async for one in log.read()] == []
        assert await log.head(0) == START
        assert (
            await server.client.execute_command("EXISTS", log.keys.layout, log.keys.events(0)) == 0
        )


async def test_without_a_server_the_address_is_said(own_server: EmbeddedServer) -> None:
    own_server.kill()
    with pytest.raises(ServerUnavailableError, match=f"no Redis at 127.0.0.1:{own_server.port}"):
        async with open_log(own_server.url):
            pytest.fail("it was opened")
