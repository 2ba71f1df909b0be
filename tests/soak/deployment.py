"""The deployment under test: a server, its proxies, and all processes of producers and groups."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.processes.embedded import EmbeddedServer, NoServerProgramError
from consumers.processes.group_process import new_consumer_name
from consumers.processes.supervisor import Supervisor, routestream_command
from events.entry.recorded import Entry
from events.log.keys import Keys
from tests.soak.verdict import HEALTH_STATE, ROUTE_TABLE, entry_of, parsed
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

NAMESPACE = "soak"
PARTITIONS = 2
GROUPS = (ROUTE_TABLE, HEALTH_STATE)
PRODUCERS = 3

CLAIM_IDLE_MS = 1_500
_HEAL_S = 30.0
_AGAIN_S = 0.05
_STARTS_MAX = 20
_READ_COUNT = 5_000
_MULTI = b"*1\r\n$5\r\nMULTI\r\n"
_EXEC = b"*1\r\n$4\r\nEXEC\r\n"


class Deployment:
    """All there is to break, and how to get at it past the proxy.

    Attributes:
        server: Syncs its append-only file before it answers: what is acknowledged, is kept.
        proxy: What half of the processes see of the server.
        server_lock: Held by a fault that takes the server away.
    """

    def __init__(self, folder: Path, server: EmbeddedServer, proxy: TcpProxy, seed: int) -> None:
        self.folder = folder
        self.server = server
        self.proxy = proxy
        self.keys = Keys(NAMESPACE)
        self.server_lock = anyio.Lock()
        self.redis: Any = Redis.from_url(server.url, protocol=2, socket_timeout=2.0)
        self._log = (folder / "processes.log").open("ab")
        self.consumers = Supervisor(
            dict(self._consumer_commands()), environment=self._environment(), stderr=self._stderr
        )
        self.producers = Supervisor(
            {
                f"producer-{number}": [
                    *(sys.executable, "-m", "tests.soak.producer"),
                    *(server.url if number == 0 else proxy.url, NAMESPACE, str(folder), str(seed)),
                ]
                for number in range(PRODUCERS)
            },
            environment=self._environment(),
            stderr=self._stderr,
        )

    @property
    def _stderr(self) -> int:
        return self._log.fileno()

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ROUTESTREAM_CONSUMER_CLAIM_IDLE_MS": str(CLAIM_IDLE_MS),
            "ROUTESTREAM_CONSUMER_BLOCK_MS": "500",
            "ROUTESTREAM_CONSUMER_BATCH_SIZE": "500",
            "ROUTESTREAM_SERVER_TIMEOUT_S": "2",
        }

    def _consumer_commands(self) -> Iterator[tuple[str, list[str]]]:
        """Each group twice: under one name for good past the proxy, ever newly named behind it."""
        for group in GROUPS:
            for url, named in (
                (self.server.url, ("--consumer", new_consumer_name())),
                (self.proxy.url, ()),
            ):
                options = ("--url", url, "--namespace", NAMESPACE)
                command = ("consume", group, *named, "--supervised", "2")
                yield (
                    f"{group}{'' if named else '-proxied'}",
                    routestream_command(*options, *command),
                )

    async def insist(self, *command: Any) -> Any:  # noqa: ANN401 - Redis's reply
        """Send a command until the server carries it out."""
        with anyio.fail_after(_HEAL_S):
            while True:
                try:
                    return await self.redis.execute_command(*command)
                except (RedisError, OSError):
                    await anyio.sleep(_AGAIN_S)
        raise AssertionError("the deadline raises")

    async def start_server(self) -> None:
        """Start it again; a client that asks for its port may have it for a moment."""
        for file in (self.folder / "appendonlydir").glob("*.incr.aof"):
            cut_unfinished(file)
        for tries in range(_STARTS_MAX):
            try:
                await anyio.to_thread.run_sync(self.server.start)
            except NoServerProgramError:
                if tries == _STARTS_MAX - 1:
                    raise
                await anyio.sleep(_AGAIN_S)
            else:
                break
        await self.insist("PING")

    async def read_log(self) -> list[Entry]:
        """Return all entries of all partitions, as Redis has them."""
        return [entry for p in range(PARTITIONS) async for entry in self._read_partition(p)]

    async def _read_partition(self, partition: int) -> AsyncIterator[Entry]:
        start = "-"
        while True:
            raw = await self.redis.execute_command(
                "XRANGE", self.keys.events(partition), start, "+", "COUNT", _READ_COUNT
            )
            for entry_id, fields in raw:
                flat = [part for pair in fields.items() for part in pair]
                yield entry_of(entry_id, flat, partition)
            if len(raw) < _READ_COUNT:
                return
            start = f"({raw[-1][0].decode()}"

    async def read_documents(self, model: str) -> dict[UUID, Any]:
        """Return the documents of the live generation, read as plain JSON."""
        found: dict[UUID, Any] = {}
        for partition in range(PARTITIONS):
            live = await self.redis.get(self.keys.live(partition, model))
            raw = await self.redis.hgetall(self.keys.documents(partition, model, int(live or 0)))
            found |= {UUID(one.decode()): parsed(document) for one, document in raw.items()}
        return found

    async def backlog(self) -> dict[str, int]:
        """Return for each group how many entries it has not settled yet."""
        left = dict.fromkeys(GROUPS, 0)
        for partition in range(PARTITIONS):
            stream = self.keys.events(partition)
            last = await self.redis.xrevrange(stream, count=1)
            known = {one["name"].decode(): one for one in await self.redis.xinfo_groups(stream)}
            for group in GROUPS:
                about = known.get(group)
                if about is None:
                    left[group] += await self.redis.xlen(stream)
                    continue
                behind = await self.redis.xrange(stream, b"(" + about["last-delivered-id"], "+")
                left[group] += about["pending"] + (len(behind) if last else 0)
        return left

    async def close(self) -> None:
        """Let go of what was opened."""
        await self.redis.aclose()
        self._log.close()


def cut_unfinished(file: Path) -> None:
    """Cut off a transaction that a kill left unfinished, as `redis-check-aof --fix` does.

    Redis itself cuts off no more than a torn command of it; what is left of the transaction then
    joins the next one at the restart after that, and half an append appears from nowhere.
    """
    content = file.read_bytes()
    begun = content.rfind(_MULTI)
    if begun >= 0 and _EXEC not in content[begun:]:
        os.truncate(file, begun)


@asynccontextmanager
async def deployed(folder: Path, seed: int) -> AsyncIterator[Deployment]:
    """Run all of it in *folder*; nothing outlives the block."""
    server = EmbeddedServer(folder, "--appendfsync", "always")
    await anyio.to_thread.run_sync(server.start)
    try:
        async with tcp_proxy(server.port) as proxy:
            proxy.remembers = False
            deployment = Deployment(folder, server, proxy, seed)
            await deployment.redis.hset(deployment.keys.layout, "partitions", str(PARTITIONS))
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(deployment.consumers.keep_running)
                    tasks.start_soon(deployment.producers.keep_running)
                    yield deployment
                    tasks.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    await deployment.close()
    finally:
        server.stop()
