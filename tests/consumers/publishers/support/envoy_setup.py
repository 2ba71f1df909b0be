"""A real Envoy that is given what a test puts into a feed."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from consumers.processes.embedded import free_port
from consumers.publishers.envoy.discovery_server import discovery_server
from consumers.publishers.envoy.envoy_settings import EnvoySettings
from consumers.publishers.proxy_ledger import ProxyLedger, ProxyState, open_ledger
from events.log.log import EventLog
from tests.consumers.publishers.support.model_servers import (
    CountingClient,
    NamedServer,
    counting_client,
    model_servers,
)
from tests.consumers.publishers.support.put_feed import (
    PutFeed,
    endpoint_of,
    route_of,
    snapshot_at,
)
from tests.consumers.publishers.support.running_envoy import (
    RunningEnvoy,
    running_envoy,
)
from tests.support.waiting import wait_until


class Setup:
    """An Envoy that is given what the test puts there, its client and two model servers."""

    discovery_port: int
    feed: PutFeed
    ledger: ProxyLedger
    settings: EnvoySettings
    envoy: RunningEnvoy
    client: CountingClient
    first: NamedServer
    second: NamedServer

    def put(self, *weights: float, at: int) -> None:
        """Put the endpoint `chat` there, with the servers' weights."""
        servers = zip((self.first, self.second), weights, strict=False)
        routes = [
            route_of(number, server.port, traffic_ratio=weight)
            for number, (server, weight) in enumerate(servers)
        ]
        self.feed.put(snapshot_at(endpoint_of("chat", *routes, at=at)))

    @property
    def state(self) -> ProxyState:
        return self.ledger.proxy(self.envoy.node).state

    async def until_acknowledged(self, at: int) -> None:
        await wait_until(
            lambda: self.state.acknowledged == f"{at}-0", f"{at}-0 is acknowledged", 30.0
        )

    @asynccontextmanager
    async def load(self, clients: int = 8) -> AsyncIterator[Counter[str]]:
        """Ask for `chat` from so many clients during the block, and count the answers."""
        self.client.answers.clear()
        async with anyio.create_task_group() as tasks:
            for _ in range(clients):
                tasks.start_soon(self.client.keep_asking, "chat")
            await self.more_answers()
            yield self.client.answers
            await self.more_answers()
            tasks.cancel_scope.cancel()

    async def more_answers(self, more: int = 100) -> None:
        """Return when so many more requests were answered."""
        seen = self.client.answers.total()
        await wait_until(lambda: self.client.answers.total() >= seen + more, "answers", 30.0)


@asynccontextmanager
async def envoy_setup(log: EventLog, folder: Path) -> AsyncIterator[Setup]:
    """Run an Envoy, which asks in vain until the test serves it."""
    made = Setup()
    made.feed = PutFeed()
    made.discovery_port, port = free_port(), free_port()
    made.settings = EnvoySettings(port=made.discovery_port, listener_port=port)
    async with (
        open_ledger(log, "envoy") as made.ledger,
        model_servers("first", "second") as (made.first, made.second),
        running_envoy(folder, made.discovery_port, port) as made.envoy,
        counting_client(f"http://127.0.0.1:{port}") as made.client,
    ):
        yield made


@asynccontextmanager
async def served_setup(log: EventLog, folder: Path) -> AsyncIterator[Setup]:
    """Serve an Envoy during the block; it has the endpoint `chat` with both servers."""
    async with (
        envoy_setup(log, folder) as made,
        discovery_server(made.feed, made.ledger, made.settings),
    ):
        made.put(1, 1, at=1)
        await made.client.until("chat", "first", "second")
        await made.until_acknowledged(1)
        yield made
