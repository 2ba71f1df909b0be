"""Servers that a test breaks in one way, and mends again."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from threading import Thread

import anyio.to_thread

from consumers.processes.embedded import EmbeddedServer, embedded_server, free_port
from events.errors import ServerUnavailableError
from events.server.client import Client
from events.server.server import Server
from events.server.settings import ServerSettings
from tests.support.waiting import wait_until

Breaking = Callable[[EmbeddedServer], AbstractAsyncContextManager[None]]
"""Breaks a server for as long as the block runs."""

SLOTS = 16_384


@asynccontextmanager
async def asking(server: EmbeddedServer) -> AsyncIterator[Client]:
    """Open a client that gets through whatever the others are told."""
    opened = Server(ServerSettings(url=server.url))
    try:
        yield opened.client
    finally:
        await opened.aclose()


async def until_answering(client: Client, *command: str) -> None:
    """Return when the server carries *command* out."""

    async def answered() -> bool:
        try:
            await client.call(*command)
        except ServerUnavailableError:
            return False
        return True

    await wait_until(answered, f"the server carries out {command[0]}")


@asynccontextmanager
async def demoted(server: EmbeddedServer) -> AsyncIterator[None]:
    """READONLY: it is the replica of a master that nobody reaches, and then a master again."""
    async with asking(server) as client:
        await client.call("REPLICAOF", "127.0.0.1", "1")
        yield
        await client.call("REPLICAOF", "NO", "ONE")


@asynccontextmanager
async def without_its_master(server: EmbeddedServer) -> AsyncIterator[None]:
    """MASTERDOWN: a replica that shall not answer with old data."""
    async with asking(server) as client:
        await client.call("CONFIG", "SET", "replica-serve-stale-data", "no")
        async with demoted(server):
            yield


@asynccontextmanager
async def without_replicas(server: EmbeddedServer) -> AsyncIterator[None]:
    """NOREPLICAS: it shall take nothing that no replica has."""
    async with asking(server) as client:
        await client.call("CONFIG", "SET", "min-replicas-to-write", "1")
        yield
        await client.call("CONFIG", "SET", "min-replicas-to-write", "0")


@asynccontextmanager
async def without_memory(server: EmbeddedServer) -> AsyncIterator[None]:
    """OOM: it has all the memory it may have."""
    async with asking(server) as client:
        await client.call("CONFIG", "SET", "maxmemory", "1")
        yield
        await client.call("CONFIG", "SET", "maxmemory", "0")


@asynccontextmanager
async def unable_to_save(server: EmbeddedServer) -> AsyncIterator[None]:
    """MISCONF: its last snapshot failed, for a folder lies where its file belongs."""
    in_the_way = server.folder / "dump.rdb"
    in_the_way.mkdir()
    async with asking(server) as client:
        await client.call("CONFIG", "SET", "save", "3600 1000000")
        await client.call("BGSAVE")

        async def failed() -> bool:
            about = await client.execute_command("INFO", "persistence")
            return bool(about["rdb_last_bgsave_status"] == "err")

        await wait_until(failed, "the snapshot has failed")
        yield
        await client.call("CONFIG", "SET", "save", "")


@asynccontextmanager
async def loading(server: EmbeddedServer) -> AsyncIterator[None]:
    """LOADING: it was restarted, and takes its time over each of its keys."""
    slow = ("--key-load-delay", "1500", "--loading-process-events-interval-bytes", "1024")
    async with asking(server) as client:
        await client.call("MSET", *(part for n in range(1_000) for part in (f"ballast:{n}", "x")))
        await client.call("BGREWRITEAOF")

        async def rewritten() -> bool:
            about = await client.execute_command("INFO", "persistence")
            return not about["aof_rewrite_in_progress"] and not about["aof_rewrite_scheduled"]

        await wait_until(rewritten, "the file begins with a snapshot")
        server.kill()
        server._options += slow
        starting = Thread(target=server.start)
        starting.start()
        yield
        await anyio.to_thread.run_sync(starting.join)


@asynccontextmanager
async def standing_still(server: EmbeddedServer) -> AsyncIterator[None]:
    """A black hole: connections stay open, nothing is answered."""
    server.pause()
    try:
        yield
    finally:
        server.resume()


@asynccontextmanager
async def away(server: EmbeddedServer) -> AsyncIterator[None]:
    """Killed, and started again with its file."""
    server.kill()
    yield
    server.start()


@contextmanager
def cluster_node() -> Iterator[EmbeddedServer]:
    """Run a node of a cluster, which has no slots yet."""
    bus = str(free_port())
    with embedded_server("--cluster-enabled", "yes", "--cluster-port", bus) as server:
        yield server


@asynccontextmanager
async def without_a_slot(server: EmbeddedServer) -> AsyncIterator[None]:
    """CLUSTERDOWN: nobody serves one of the slots, none that matters here."""
    async with asking(server) as client:
        await client.call("CLUSTER", "DELSLOTS", "0")
        yield
        await client.call("CLUSTER", "ADDSLOTS", "0")
        await until_answering(client, "SET", "anything", "there")
