"""The deployment under test: a server, its proxies, and all processes of producers and groups."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.processes.embedded import NoServerProgramError, free_port
from consumers.processes.group_process import new_consumer_name
from consumers.processes.supervisor import Supervisor, routestream_command
from consumers.processes.traefik_process import TraefikProcess
from events import EventLog, open_log
from events.entry.recorded import Entry
from events.log.keys import Keys
from tests.soak.crashes import crashes_in
from tests.soak.receiver import Receiver, receiving
from tests.soak.soak_server import SoakServer
from tests.soak.stored_log import read_log
from tests.soak.verdict import HEALTH_STATE, ROUTE_TABLE, WEBHOOK, parsed
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

NAMESPACE = "soak"
PARTITIONS = 2
MODELS = (ROUTE_TABLE, HEALTH_STATE)
GROUPS = (*MODELS, WEBHOOK)
PRODUCERS = 3

CLAIM_IDLE_MS = 1_500
HELD_MAX = 200
_PUBLISHER = "traefik-http"
_HEAL_S = 30.0
_AGAIN_S = 0.05
_STARTS_MAX = 20


class Deployment:
    """All there is to break, and how to get at it past the proxy.

    Attributes:
        server: Syncs its append-only file before it answers: what is acknowledged, is kept.
        proxy: What half of the processes see of the server.
        receiver: Where the webhook posts to.
        traefik: The proxy that a publisher feeds.
        log: The log, opened before anything happens.
        server_lock: Held by a fault that takes the server away.
        signalled: How often each process was killed or terminated by a fault.
        complaints: What faults found wrong.
        set_back: Groups that faults have set back, with the partition, since the history began.
    """

    def __init__(
        self, folder: Path, server: SoakServer, proxy: TcpProxy, receiver: Receiver, seed: int
    ) -> None:
        self.folder = folder
        self.server = server
        self.proxy = proxy
        self.receiver = receiver
        self._polled_port = free_port()
        polled = f"http://127.0.0.1:{self._polled_port}/v1/traefik/soak"
        self.traefik = TraefikProcess(
            folder,
            f"--providers.http.endpoint={polled}",
            "--providers.http.pollInterval=50ms",
        )
        self.log: EventLog
        self.keys = Keys(NAMESPACE)
        self.server_lock = anyio.Lock()
        self.signalled: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.set_back: set[tuple[str, int]] = set()
        self.redis: Any = Redis.from_url(server.url, protocol=2, socket_timeout=2.0)
        self._output = (folder / "processes.log").open("ab")
        stderr = self._output.fileno()
        environment = self._environment()
        self.consumers = Supervisor(
            dict(self._consumer_commands()), environment=environment, stderr=stderr
        )
        self.producers = Supervisor(
            {
                f"producer-{number}": [
                    *(sys.executable, "-m", "tests.soak.producer"),
                    *(server.url if number == 0 else proxy.url, NAMESPACE, str(folder), str(seed)),
                ]
                for number in range(PRODUCERS)
            },
            environment=environment,
            stderr=stderr,
        )

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ROUTESTREAM_CONSUMER_CLAIM_IDLE_MS": str(CLAIM_IDLE_MS),
            "ROUTESTREAM_CONSUMER_BLOCK_MS": "500",
            "ROUTESTREAM_CONSUMER_BATCH_SIZE": "500",
            "ROUTESTREAM_SERVER_TIMEOUT_S": "2",
            "ROUTESTREAM_METRICS_PORT": "0",
            "ROUTESTREAM_READER_BLOCK_MS": "500",
            "ROUTESTREAM_PUBLISH_TRAEFIK_HTTP_PORT": str(self._polled_port),
            "ROUTESTREAM_PUBLISH_TRAEFIK_PATH": "/{id}",
            "ROUTESTREAM_WEBHOOK_URL": self.receiver.url,
            "ROUTESTREAM_WEBHOOK_HELD_MAX": str(HELD_MAX),
            "ROUTESTREAM_WEBHOOK_LEASE_MS": "1000",
            "ROUTESTREAM_WEBHOOK_BLOCK_MS": "500",
            # Nothing may be given up on: each event has to arrive.
            "ROUTESTREAM_WEBHOOK_UNSEEN_MAX": "1000",
            "ROUTESTREAM_WEBHOOK_POLICY_TRIES_MAX": "1000",
            "ROUTESTREAM_WEBHOOK_POLICY_FIRST_S": "0.1",
            "ROUTESTREAM_WEBHOOK_POLICY_MOST_S": "1",
        }

    def _consumer_commands(self) -> Iterator[tuple[str, list[str]]]:
        """Each group twice: under one name for good past the proxy, ever newly named behind it.

        The publisher is behind it, once: it has a port.
        """
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
        options = ("--url", self.proxy.url, "--namespace", NAMESPACE)
        yield _PUBLISHER, routestream_command(*options, "publish", _PUBLISHER, "--supervised", "1")

    async def routestream(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run one command as an operator does, past the proxy."""
        options = ("--url", self.server.url, "--namespace", NAMESPACE)
        return await anyio.run_process(
            routestream_command(*options, *arguments), env=self._environment(), check=False
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
        return await read_log(self.redis, self.keys, PARTITIONS)

    async def read_documents(self, model: str) -> dict[UUID, Any]:
        """Return the documents of the live generation, read as plain JSON."""
        found: dict[UUID, Any] = {}
        for partition in range(PARTITIONS):
            live = await self.redis.get(self.keys.live(partition, model))
            if live is None:
                self.complaints.append(f"{model} of partition {partition} has no live generation")
                continue
            raw = await self.redis.hgetall(self.keys.documents(partition, model, int(live)))
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

    @property
    def restarts(self) -> dict[str, int]:
        """How often each process was started again."""
        return self.consumers.restarts | self.producers.restarts

    def crashes(self) -> Iterator[str]:
        """Yield the tracebacks of all processes, and ends that nobody explained."""
        yield from crashes_in(Path(self._output.name), self.restarts, self.signalled)

    async def close(self) -> None:
        """Let go of what was opened."""
        await self.redis.aclose()
        self._output.close()


@asynccontextmanager
async def deployed(folder: Path, seed: int) -> AsyncIterator[Deployment]:
    """Run all of it in *folder*; nothing outlives the block."""
    server = SoakServer(folder)
    await anyio.to_thread.run_sync(server.start)
    try:
        async with (
            receiving() as receiver,
            tcp_proxy(server.port) as proxy,
            open_log(server.url, namespace=NAMESPACE, partitions=PARTITIONS) as log,
        ):
            proxy.remembers = False
            deployment = Deployment(folder, server, proxy, receiver, seed)
            deployment.log = log
            for partition in range(PARTITIONS):
                # By itself a new handler group begins with what comes after it.
                stream = deployment.keys.events(partition)
                await deployment.redis.xgroup_create(stream, WEBHOOK, "0", mkstream=True)
            try:
                await anyio.to_thread.run_sync(deployment.traefik.start)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(deployment.consumers.keep_running)
                    tasks.start_soon(deployment.producers.keep_running)
                    yield deployment
                    tasks.cancel_scope.cancel()
            finally:
                deployment.traefik.kill()
                with anyio.CancelScope(shield=True):
                    await deployment.close()
    finally:
        server.stop()
