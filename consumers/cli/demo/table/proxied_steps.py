"""What the demo checks of the requests that run through a real proxy all the time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from consumers.cli.demo.cluster import Cluster
from consumers.cli.demo.narrator import Narrator
from consumers.cli.demo.real_proxy import CLIENTS, RealProxy, RunningRequests
from consumers.cli.demo.replica import Replica

WEIGHED = 200
"""Requests that are counted where one replica has three times the weight of the other."""

_ACKNOWLEDGED = "acknowledged by 1 of 1 proxies"


class ProxiedSteps:
    """The steps that only a real proxy can play, and the checks of its running requests."""

    def __init__(self, cluster: Cluster, narrator: Narrator, proxy: RealProxy) -> None:
        self._cluster, self._proxy = cluster, proxy
        self._checks, self._tell, _, self._shell = narrator
        self._requests = RunningRequests(
            proxy, cluster.endpoints["chat"], cluster.endpoints["embed"]
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let requests run during the block."""
        async with anyio.create_task_group() as tasks:
            for endpoint_id in self._cluster.endpoints.values():
                await self._proxy.until_current(endpoint_id)
            tasks.start_soon(self._requests.run)
            yield
            tasks.cancel_scope.cancel()

    def check_the_kill(self) -> None:
        """Check what the killed replica has cost."""
        sent, failed = self._requests.sent, self._requests.failed
        told = f"{failed} of {sent} requests through {self._proxy.called} failed"
        if self._proxy.has_retries:
            told += f", {CLIENTS} ran at the same time"
            self._checks.note(told, held=sent > 0 and failed <= CLIENTS)
        else:
            told += ", until it was told: it tries none again"
            self._checks.note(told, held=failed < sent)

    async def drain(self, name: str, leaving: Replica) -> None:
        """Drain a replica, and put another in its place."""
        self._tell(f"a replica of {name} is drained, and another takes its place")
        failed = self._requests.failed
        route = str(leaving.route_id)
        drain = ("routes", "drain", name, route, "--reason", "maintenance", "--drain-time", "0.5")
        printed = await self._shell.run(*drain, "--yes")
        self._checks.note("the proxy has acknowledged it", held=_ACKNOWLEDGED in printed.talk)
        await leaving.kill()
        replicas = self._cluster.replicas[name]
        replicas[replicas.index(leaving)] = new = Replica(name)
        await new.start()
        await self._cluster.list_routes(name)
        cost = self._requests.failed - failed
        self._checks.note(
            f"{cost} requests failed through {self._proxy.called} meanwhile", held=not cost
        )

    async def weigh(self, name: str) -> None:
        """Give one of the two replicas of an endpoint three times the weight of the other."""
        if not self._proxy.has_weights:
            return
        self._tell(f"one of the two replicas of {name} gets the weight 3, the other keeps 1")
        endpoint_id = self._cluster.endpoints[name]
        heavy, light = self._cluster.replicas[name]
        await self._cluster.service.set_traffic_ratio(endpoint_id, heavy.route_id, 3)
        await self._checks.until(
            "the reader has the weights",
            lambda: (
                sorted(r.traffic_ratio for r in self._cluster.reader.routable(endpoint_id))
                == [1, 3]
            ),
        )
        await self._proxy.until_current(endpoint_id)
        answers = await self._proxy.send(endpoint_id, WEIGHED)
        counts = [answers[replica.port] for replica in (heavy, light)]
        self._checks.note(
            f"{self._proxy.called} sends them {counts[0]} and {counts[1]} of {WEIGHED} requests",
            held=sum(counts) == WEIGHED and abs(counts[0] - 3 * counts[1]) < WEIGHED / 10,
        )

    async def check_no_routes(self, name: str) -> None:
        """Check how requests to an endpoint without routes are answered."""
        endpoint_id = self._cluster.endpoints[name]
        await self._proxy.until_current(endpoint_id)
        status, _ = await self._proxy.ask(endpoint_id)
        self._checks.note(f"{self._proxy.called} answers {status} for {name}", held=status == 503)

    def check_the_rest(self) -> None:
        """Check all requests of the whole demo."""
        sent, failed = self._requests.sent, self._requests.failed
        self._checks.note(
            f"{failed} of {sent} requests through {self._proxy.called} failed in all this time",
            held=failed <= CLIENTS if self._proxy.has_retries else failed < sent / 2,
        )
