"""A reader follows a replica: its change feed, its documents, its age."""

from collections.abc import Iterator

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer, embedded_server
from events import open_log
from events.server.server import open_server
from events.server.settings import ServerSettings
from projections.read_model.reader import open_reader
from tests.projections.test_reader import FIRST, QUICK, named, until_aged, until_named
from tests.support.histories import E
from tests.support.read_model import WrittenTable
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import wait_until

OPTIONS = ("--repl-ping-replica-period", "1", "--repl-diskless-sync-delay", "0")


@pytest.fixture
def master() -> Iterator[EmbeddedServer]:
    with embedded_server(*OPTIONS) as server:
        yield server


async def until_replicated(replica: EmbeddedServer, table: WrittenTable) -> None:
    async with open_server(ServerSettings(url=replica.url)) as server:

        async def is_there() -> bool:
            return bool(await server.client.call("EXISTS", table.documents))

        await wait_until(is_there, "the replica has the documents")


async def test_a_reader_on_a_replica_follows_and_goes_on_when_that_is_promoted(
    master: EmbeddedServer, namespace: str
) -> None:
    with embedded_server(*OPTIONS, "--replicaof", f"127.0.0.1 {master.port}") as replica:
        async with open_log(master.url, namespace=namespace) as log:
            table = WrittenTable(log)
            await table.begin(FIRST)
            await until_replicated(replica, table)
            with anyio.fail_after(120):
                async with open_reader(replica.url, QUICK, namespace=namespace) as reader:
                    assert reader.endpoint(E) == FIRST
                    await table.put(named("v2"))
                    await until_named(reader, "v2")
                    assert reader.age_s < 30
                    master.kill()
                    await until_aged(reader, 1.5)
                    assert reader.state == "following"
                    async with open_log(replica.url, namespace=namespace) as promoted:
                        await promoted.server.client.call("REPLICAOF", "NO", "ONE")
                        there = WrittenTable(promoted)
                        there.generation, there.revisions = table.generation, table.revisions
                        await there.put(named("v3"))
                        await until_named(reader, "v3")
                    await wait_until(lambda: reader.age_s < 1.5, "it is up to date again")


async def test_a_reader_on_a_replica_that_hears_nothing_of_its_master_says_how_old_it_is(
    master: EmbeddedServer, namespace: str
) -> None:
    async with tcp_proxy(master.port) as link:
        follows = ("--replicaof", f"127.0.0.1 {link.port}")
        with embedded_server(*OPTIONS, *follows) as replica:
            async with open_log(master.url, namespace=namespace) as log:
                table = WrittenTable(log)
                await table.begin(FIRST)
                await until_replicated(replica, table)
                with anyio.fail_after(120):
                    async with open_reader(replica.url, QUICK, namespace=namespace) as reader:
                        link.silent = True
                        await table.put(named("v2"))
                        await until_aged(reader, 4)
                        assert reader.endpoint(E) == FIRST
                        link.silent = False
                        link.cut()
                        await until_named(reader, "v2")
