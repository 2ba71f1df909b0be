"""The steps of the cluster demo, and what must hold after each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import anyio

from consumers.cli.demo.cluster import Cluster
from consumers.cli.demo.narrator import Narrator
from consumers.cli.demo.real_proxy import RealProxy, RunningRequests
from consumers.cli.demo.replica import Replica
from consumers.cli.demo.stage import Stage
from consumers.processes.supervisor import Supervisor
from events import Durability
from events.log.keys import partition_of
from projections.route_table.traffic import traffic_of
from tests.events.support.appenders import Appenders
from tests.support.cluster_servers import ClusterServers

PARTITIONS = 12
MORE_PARTITIONS = 24
NAMES = ("chat", "embed", "rerank")

_HOST = {
    "route-table-{}": ("consume", "route-table", "--consumer", "route-table-{}"),
    "health-state-{}": ("consume", "health-state", "--consumer", "health-state-{}"),
    "checker-{}": ("checkers", "run"),
}
STAGE = Stage(
    replicas=dict.fromkeys(NAMES, 2),
    processes={name.format(0): command for name, command in _HOST.items()},
)
"""The first host; the second one runs the same, and is killed."""

SAFE = Durability(replicas=1, timeout_ms=10_000)
_TOLD_S = 60.0


def second_host() -> dict[str, tuple[str, ...]]:
    """Return the processes of the second host, by name."""
    return {
        name.format(1): tuple(word.format(1) for word in command) for name, command in _HOST.items()
    }


class ClusterStory:
    """Plays the steps in order while requests go through the proxy all the time."""

    def __init__(
        self, cluster: Cluster, nodes: ClusterServers, host: Supervisor, narrator: Narrator
    ) -> None:
        self._cluster, self._nodes, self._host = cluster, nodes, host
        self._checks, self._tell, self._pause, self._shell = narrator
        self._appenders = Appenders(cluster.log, SAFE)

    async def play(self) -> None:
        """Play all steps."""
        await self._partitions_are_spread()
        await self._all_become_healthy()
        async with self._requests("in all"), self._appenders.running(4):
            await self._appenders.until(100)
            await self._a_master_is_killed()
            await self._a_replica_dies()
            await self._a_host_is_killed()
            await self._the_log_gets_more_partitions()
        await self._everything_agrees_with_the_log()

    async def _partitions_are_spread(self) -> None:
        self._tell(f"a log of {PARTITIONS} partitions is made on three nodes with a replica each")
        server, keys = self._cluster.log.server, self._cluster.log.keys
        nodes = {(await server.at(keys.events(p))).place for p in range(PARTITIONS)}
        self._checks.note(f"its partitions lie on {len(nodes)} nodes", held=len(nodes) == 3)
        printed = await self._shell.run("streams", "ls")
        self._checks.note("they are listed", held=printed.exit_code == 0)

    async def _all_become_healthy(self) -> None:
        self._tell("three endpoints of two replicas each start; two hosts of processes follow them")
        await self._cluster.start_replicas()
        await self._cluster.record_endpoints()
        for name in NAMES:
            await self._until_routable(name, f"{name}: both replicas get traffic")

    async def _a_master_is_killed(self) -> None:
        key = self._cluster.log.keys.events(self._partition("chat"))
        self._tell("the node that has the partition of `chat` is killed")
        master = await self._nodes.master_of(key)
        async with self._requests("while there was no master"):
            self._nodes.kill(master)
            await self._nodes.until_promoted(key, master)
            await self._nodes.restart(master)
            await self._appenders.until(100)
        self._checks.note("another one has it, and takes appends", held=True)
        await self._weigh("chat", 0.25)

    async def _a_replica_dies(self) -> None:
        self._tell("a replica of `chat` dies after the failover")
        [dying, _] = self._cluster.replicas["chat"]
        await dying.kill()
        await self._until_routable("chat", "it gets no more traffic", without=dying)
        await dying.start()
        await self._cluster.list_routes("chat")
        await self._until_routable("chat", "it is back")

    async def _a_host_is_killed(self) -> None:
        self._tell("the second host is killed: projectors, checker, all of it at once")
        self._host.kill()
        for number, name in enumerate(NAMES):
            await self._weigh(name, 0.5 - number / 10)
        [dying, _] = self._cluster.replicas["embed"]
        await dying.kill()
        await self._until_routable("embed", "a replica that dies is noticed", without=dying)

    async def _the_log_gets_more_partitions(self) -> None:
        self._tell(f"the log is moved to {MORE_PARTITIONS} partitions while it runs")
        words = ("--partitions", str(MORE_PARTITIONS), "--into", "demo-moved", "--yes")
        printed = await self._shell.run("log", "repartition", *words)
        self._checks.note("it has moved", held=printed.exit_code == 0)
        await self._appenders.until(100)
        self._checks.note(
            f"appends go to {MORE_PARTITIONS} partitions",
            held=self._cluster.log.current.partitions == MORE_PARTITIONS,
        )
        for number, name in enumerate(NAMES):
            await self._weigh(name, 0.9 - number / 10)

    async def _everything_agrees_with_the_log(self) -> None:
        self._tell("all is compared with the log")
        faults = await self._appenders.faults()
        self._checks.note(
            f"{len(self._appenders.acknowledged)} appends that were on a replica are all there,"
            " once, in order",
            held=not faults,
        )
        for read_model in ("route-table", "health-state"):
            printed = await self._shell.run("replay", "verify", read_model)
            self._checks.note(f"{read_model} is what the log says", held=printed.exit_code == 0)

    async def _weigh(self, name: str, weight: float) -> None:
        """Give the last replica of *name* a weight, and wait until the proxy has heard of it."""
        replica = self._cluster.replicas[name][-1]
        endpoint_id = self._cluster.endpoints[name]
        await self._cluster.service.set_traffic_ratio(endpoint_id, replica.route_id, weight)

        def is_known() -> bool:
            endpoint = self._cluster.reader.endpoint(endpoint_id)
            route = None if endpoint is None else endpoint.routes.get(replica.route_id)
            return route is not None and route.traffic_ratio == weight

        await self._checks.until(f"{name}: a new weight is in the table", is_known, _TOLD_S)
        proxy = self._cluster.proxy
        assert isinstance(proxy, RealProxy)
        await proxy.until_current(endpoint_id)
        self._checks.note(f"{name}: Traefik routes by it", held=await proxy.is_current(endpoint_id))

    async def _until_routable(
        self, name: str, what: str, *, without: Replica | None = None
    ) -> None:
        endpoint_id = self._cluster.endpoints[name]
        wanted = {one.route_id for one in self._cluster.replicas[name] if one is not without}
        await self._checks.until(what, lambda: self._routable(endpoint_id) == wanted, _TOLD_S)
        await self._cluster.proxy.until_current(endpoint_id)

    def _routable(self, endpoint_id: UUID) -> set[UUID]:
        endpoint = self._cluster.reader.endpoint(endpoint_id)
        traffic = {} if endpoint is None else traffic_of(endpoint)
        return {route_id for route_id, one in traffic.items() if one.share}

    def _partition(self, name: str) -> int:
        return partition_of(self._cluster.endpoints[name], self._cluster.log.partitions)

    @asynccontextmanager
    async def _requests(self, when: str) -> AsyncIterator[None]:
        """Send requests through the proxy meanwhile; none may fail."""
        requests = RunningRequests(self._cluster.proxy, self._cluster.endpoints["rerank"])
        async with anyio.create_task_group() as running:
            running.start_soon(requests.run)
            await requests.until_sent(10)
            yield
            await requests.until_sent(requests.sent + 10)
            running.cancel_scope.cancel()
        self._checks.note(
            f"{when}, {requests.failed} of {requests.sent} requests failed",
            held=requests.failed == 0,
        )
