"""Runs all processes of the demo, as a small deployment has them."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

import aiohttp
import anyio

from consumers.cli.demo.proxy import Proxy
from consumers.cli.demo.real_proxy import FedProxy, RealProxy
from consumers.cli.demo.replica import Replica
from consumers.cli.demo.stage import Stage
from consumers.processes.supervisor import Supervisor, routestream_command
from events.catalogue.endpoint import EndpointCreatedEvent
from events.log.log import EventLog, open_log
from producers.checker.address_policy import AddressPolicy
from producers.checker.probe import open_session
from producers.endpoints.endpoint_service import EndpointService
from producers.model_definitions.model_folder import read_model_definition
from projections.read_model.reader import ReaderSettings, RouteTableReader, open_reader

_LOOPBACK = ("127.0.0.0/8",)
"""Where the demo's model servers are."""


class ServedAt(Protocol):
    """The server of a deployment."""

    @property
    def url(self) -> str:
        """Its URL."""

    @property
    def folder(self) -> Path:
        """Where the deployment keeps its files."""


class Cluster:
    """The deployment of the demo.

    Attributes:
        endpoints: The id of each endpoint, by name.
        replicas: The model servers of each endpoint, by name.
        environment: The variables that make a process work on this deployment.
        output: The open file that processes write their logs to.
        is_public: Whether endpoints are recorded as open to the public.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        log: EventLog,
        reader: RouteTableReader,
        proxy: Proxy | RealProxy,
        supervisor: Supervisor,
        *,
        replicas: Mapping[str, int],
        environment: Mapping[str, str],
        output: int,
    ) -> None:
        self.log = log
        self.reader = reader
        self.proxy = proxy
        self.supervisor = supervisor
        self.environment = environment
        self.output = output
        self.is_public = False
        self.service = EndpointService(log)
        self.endpoints: dict[str, UUID] = {name: uuid4() for name in replicas}
        self.replicas = {
            name: [Replica(name) for _ in range(count)] for name, count in replicas.items()
        }

    async def start_replicas(self) -> None:
        """Start all model servers."""
        async with anyio.create_task_group() as starting:
            for replicas in self.replicas.values():
                for replica in replicas:
                    starting.start_soon(replica.start)

    async def record_endpoints(self) -> None:
        """Record the endpoints and their routes."""
        for name, endpoint_id in self.endpoints.items():
            definition = (await read_model_definition(examples_folder() / name)).usable
            await self.service.create(
                EndpointCreatedEvent(
                    endpoint_id=endpoint_id,
                    name=name,
                    model=definition.models[0].name,
                    health_check=definition.health_check,
                    open_to_public=self.is_public,
                )
            )
            await self.list_routes(name)

    async def list_routes(self, name: str) -> None:
        """Record that the endpoint has exactly the routes of its model servers."""
        records = [replica.record for replica in self.replicas[name]]
        await self.service.set_route_list(self.endpoints[name], records)

    async def kill_replicas(self) -> None:
        """End all model servers."""
        for replicas in self.replicas.values():
            for replica in replicas:
                await replica.kill()


def examples_folder() -> Path:
    """Return the path of `examples/`: inside the installed package, else beside it."""
    inside = Path(__file__).parent / "examples"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "examples"


@asynccontextmanager
async def run_cluster(
    stage: Stage, server: ServedAt, fed: FedProxy | None = None
) -> AsyncIterator[Cluster]:
    """Run the deployment of *stage* on *server*; on exit all its processes have ended.

    Requests go through *fed* if there is one, which a publisher feeds.
    """
    environment = {**_environment(server, fed), **stage.settings}
    processes = dict(stage.processes)
    if fed is not None:
        processes[f"publish-{fed.publisher}-0"] = ("publish", fed.publisher)
    wanted = Counter(name.rpartition("-")[0] for name in processes)
    with (server.folder / "processes.log").open("ab") as output:
        supervisor = Supervisor(
            {
                name: routestream_command(*c, "--supervised", str(wanted[name.rpartition("-")[0]]))
                for name, c in processes.items()
            },
            environment=environment,
            stderr=output.fileno(),
        )
        async with (
            open_log(server.url, namespace="demo", source="demo") as log,
            open_session(AddressPolicy(_LOOPBACK)) as session,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(supervisor.keep_running)
            try:
                async with open_reader(log, ReaderSettings(block_ms=300)) as reader:
                    proxy = _proxy(reader, session.http.fresh, fed)
                    cluster = Cluster(
                        *(log, reader, proxy, supervisor),
                        replicas=stage.replicas,
                        environment=environment,
                        output=output.fileno(),
                    )
                    cluster.is_public = fed is not None and fed.is_public
                    try:
                        yield cluster
                    finally:
                        with anyio.CancelScope(shield=True):
                            await cluster.kill_replicas()
            finally:
                with anyio.CancelScope(shield=True):
                    await supervisor.stop()


def _environment(server: ServedAt, fed: FedProxy | None) -> dict[str, str]:
    """Return the variables that make a process work on the deployment."""
    return {
        **os.environ,
        "ROUTESTREAM_SERVER_URL": server.url,
        "ROUTESTREAM_NAMESPACE": "demo",
        "ROUTESTREAM_CONSUMER_BLOCK_MS": "500",
        "ROUTESTREAM_CONSUMER_CLAIM_IDLE_MS": "1000",
        "ROUTESTREAM_METRICS_PORT": "0",
        "ROUTESTREAM_CHECKER_NETWORKS": ",".join(_LOOPBACK),
        "ROUTESTREAM_SNAPSHOTS_DIRECTORY": str(server.folder / "snapshots"),
        **({} if fed is None else fed.environment),
    }


def _proxy(
    reader: RouteTableReader, http: aiohttp.ClientSession, fed: FedProxy | None
) -> Proxy | RealProxy:
    return Proxy(reader, http) if fed is None else fed.entrance(reader, http)
