"""Connect to one Redis or Valkey server, a master of sentinels or a cluster, and ask about it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import anyio

from events.errors import (
    ServerRefusedError,
    ServerUnavailableError,
    UnknownCommandError,
)
from events.server.client import Client, NodeClient, RoutedClient
from events.server.cluster import ClusterPlaces
from events.server.connection import Connections
from events.server.places import OnePlace, Places, ServerPlace
from events.server.reply import reply
from events.server.sentinel import SentinelPlaces
from events.server.settings import ServerSettings
from events.server.url import OF_A_CLUSTER, OF_SENTINELS

VERSION_MIN = (7, 0)


class Server:
    """An open Redis, a master that sentinels watch, or a cluster.

    Attributes:
        settings: How it is reached.
        client: Sends commands that answer at once to where their keys lie.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._url = url = settings.server_url
        self._nodes: dict[ServerPlace, NodeClient] = {}
        self._waiting: set[NodeClient] = set()
        self._sentinels: SentinelPlaces | None = None
        self._places: Places
        self.client: Client
        # What answers a sentinel, or does not, says nothing of the master.
        self._connections = Connections(settings)
        if url.scheme in OF_A_CLUSTER:
            self._places = ClusterPlaces(url.hosts, self._ask_for_slots)
        elif url.scheme in OF_SENTINELS:
            connections = self._connections
            self._places = self._sentinels = SentinelPlaces(
                url.master,
                url.hosts,
                lambda place: NodeClient.of_pool(connections.sentinel_pool(place), place),
                self._leave,
            )
        else:
            self._places = OnePlace(url.hosts[0])
            self.client = self.node(url.hosts[0])
            return
        self._connections = Connections(settings, self._places)
        self.client = RoutedClient(self._places, self.node)

    @property
    def address(self) -> str:
        """Its hosts, ports and database, or its socket's path; never the password."""
        return self._url.address

    @property
    def patience_s(self) -> float:
        """How long another server may take to become the master; see `Places`."""
        return self._places.patience_s

    @property
    def is_cluster(self) -> bool:
        """Whether keys may lie on several servers."""
        return self._places.is_spread

    def node(self, place: ServerPlace) -> NodeClient:
        """Return the client of the server at *place*."""
        client = self._nodes.get(place)
        if client is None:
            connections_max = self.settings.connections_max
            client = self._nodes[place] = self._connect(place, connections_max)
        return client

    async def at(self, key: str | bytes) -> NodeClient:
        """Return the client of the server that has *key*, for commands that have no key.

        Raises:
            ServerUnavailableError: Nobody who could tell where it lies is there.
        """
        return self.node(await self._places.of(key))

    async def each(self) -> list[NodeClient]:
        """Return a client for each server that may have keys, for commands that have no key.

        Raises:
            ServerUnavailableError: Nobody who could tell which they are is there.
        """
        return [self.node(place) for place in await self._places.all()]

    def share_a_command(self, one: str, other: str) -> bool:
        """Whether one command may name both keys."""
        return self._places.share_a_command(one, other)

    @asynccontextmanager
    async def blocking(self, key: str, block_ms: int) -> AsyncIterator[NodeClient]:
        """Open a separate connection for reads of *key* that wait up to *block_ms*.

        The server's timer may start again while it serves others, so the reply may take longer. It
        stays with the server that has the key now: when that changes, a read of it fails.

        Raises:
            ServerUnavailableError: Nobody who could tell where it lies is there.
        """
        place = await self._places.of(key)
        timeout_s = block_ms / 1_000 + self._connections.timeout_s
        client = self._connect(place, 1, timeout_s)
        self._waiting.add(client)
        try:
            yield client
        finally:
            self._waiting.remove(client)
            await client.close_or_cut()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Hear from sentinels meanwhile that another server is the master."""
        if self._sentinels is None:
            yield
            return
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._sentinels.watch)
                yield
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as failed:
            # The task is no concern of the caller: what failed in its own block comes out as it is.
            if len(failed.exceptions) > 1:
                raise
            [failure] = failed.exceptions
            raise failure from failure.__cause__

    async def _leave(self, place: ServerPlace) -> None:
        """Cut all connections to a server that is the master no more, also those that wait."""
        for client in (*self._waiting, *self._nodes.values()):
            if client.place == place:
                await client.cut()

    async def _ask_for_slots(self, place: ServerPlace) -> object:
        return await self.node(place).call("CLUSTER SLOTS")

    def _connect(
        self, place: ServerPlace, count: int, timeout_s: float | None = None
    ) -> NodeClient:
        return NodeClient.of_pool(self._connections.pool(place, count, timeout_s), place)

    async def check(self) -> None:
        """Check that the server answers and is new enough.

        Raises:
            ServerUnavailableError: It cannot be reached, or is still loading.
            ServerRefusedError: It is too old, or refuses access.
        """
        try:
            about = await self._info("server")
        except UnknownCommandError:
            return  # INFO is switched off: what else is missing, a command will tell
        except ServerUnavailableError as error:
            raise ServerUnavailableError(f"no Redis at {self.address}: {error}") from None
        except ServerRefusedError as error:
            raise ServerRefusedError(f"Redis at {self.address} refuses: {error}") from None
        version = str(about.get("valkey_version") or about["redis_version"])
        if tuple(int(part) for part in version.split(".")[:2]) < VERSION_MIN:
            raise ServerRefusedError(f"Redis at {self.address} is {version}, 7.0 is the least")

    async def weaknesses(self) -> list[str]:
        """Return which settings of the servers put appended events at risk; empty if none does.

        Nothing is reported about a server that refuses to tell its settings, or is away.
        """
        nodes = await self.each()
        found = []
        for node in nodes:
            at = f"{node.place}: " if len(nodes) > 1 else ""
            try:
                persistence, memory = await node.told("persistence"), await node.told("memory")
            except (ServerRefusedError, ServerUnavailableError):
                continue
            if not persistence.get("aof_enabled"):
                found.append(
                    f"{at}appendonly is off: a crash of the server loses events; turn AOF on"
                )
            policy = str(memory.get("maxmemory_policy", "noeviction"))
            if policy != "noeviction":
                found.append(
                    f"{at}maxmemory-policy is {policy}: the log can be evicted; set noeviction"
                )
        return found

    async def can_wait_for_fsync(self, key: str = "") -> bool:
        """Whether the server of *key* says that it has WAITAOF, and an append-only file to sync."""
        node = await self.at(key)
        try:
            known = await node.call("COMMAND LIST", "FILTERBY", "PATTERN", "waitaof")
            persistence = await node.told("persistence")
        except ServerRefusedError:
            return False
        return bool(known) and bool(persistence.get("aof_enabled"))

    async def _info(self, section: str) -> dict[str, object]:
        """Return what the first server that is there says of itself."""
        *others, last = await self.each()
        for node in others:
            with suppress(ServerUnavailableError):
                return await node.told(section)
        return await last.told(section)

    async def aclose(self) -> None:
        """Close the connections."""
        for client in [*self._nodes.values()]:
            await client.close_or_cut()
        if self._sentinels is not None:
            await self._sentinels.aclose()


@asynccontextmanager
async def open_server(settings: ServerSettings) -> AsyncIterator[Server]:
    """Open the server, check it, and close it at the end.

    Raises:
        ServerUnavailableError: It cannot be reached.
        ServerRefusedError: It is too old, or refuses access.
    """
    server = Server(settings)
    try:
        await server.check()
        async with server.watched():
            yield server
    finally:
        await server.aclose()


async def now_of(server: Server, key: str = "") -> datetime:
    """Return the time of the server that has *key*, from which it makes ids; ours may differ.

    If the account may not ask for it, the local clock is used.
    """
    try:
        raw = await (await server.at(key)).call("TIME")
    except ServerRefusedError:
        return datetime.now(UTC)
    seconds, microseconds = reply(raw, tuple[int, int])
    return datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)
