"""The life of an endpoint, counted at the client of a real Envoy."""

from pathlib import Path
from uuid import uuid4

from consumers.processes.embedded import EmbeddedServer, free_port
from consumers.publishers.proxy_ledger import read_proxies
from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus
from events.catalogue.route import RouteRecord
from events.log.log import EventLog
from producers.endpoints.endpoint_service import EndpointService
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.publishers.support.model_servers import (
    CountingClient,
    NamedServer,
    counting_client,
    model_servers,
)
from tests.consumers.publishers.support.publisher_process import publisher_process
from tests.consumers.publishers.support.running_envoy import running_envoy, with_envoy
from tests.support.projectors import member, rebuild
from tests.support.running_consumer import consuming
from tests.support.waiting import wait_until

pytestmark = with_envoy


class Story:
    """An endpoint `chat` of three replicas, and how its traffic is counted."""

    def __init__(self, log: EventLog, servers: list[NamedServer], client: CountingClient) -> None:
        self.service = EndpointService(log)
        self.endpoint_id = uuid4()
        self.routes = {server.name: uuid4() for server in servers}
        self._log, self._servers, self._client = log, servers, client

    async def create(self) -> None:
        await self.service.create(
            EndpointCreatedEvent(
                endpoint_id=self.endpoint_id,
                name="chat",
                model="m",
                health_check=HealthCheck(path="/health"),
            )
        )
        records = [
            RouteRecord(
                route_id=self.routes[server.name],
                session_id=uuid4(),
                kernel_host="127.0.0.1",
                kernel_port=server.port,
                status="running",
            )
            for server in self._servers
        ]
        await self.service.set_route_list(self.endpoint_id, records)
        for name in self.routes:
            await self.health(name, "healthy")

    async def health(self, name: str, status: ModelServiceStatus) -> None:
        await self.service.record_status(self.endpoint_id, self.routes[name], status)

    async def ratio(self, name: str, ratio: float) -> None:
        await self.service.set_traffic_ratio(self.endpoint_id, self.routes[name], ratio)

    async def until(self, *answers: str) -> None:
        await self._client.until("chat", *answers)

    async def until_acknowledged(self) -> None:
        """Return when the ledger says that Envoy has the newest event."""

        async def has_it() -> bool:
            newest = await self._log.head(0)
            return any(one.acknowledged == str(newest) for one in await read_proxies(self._log))

        await wait_until(has_it, "Envoy has the newest event", 30.0)


async def test_the_life_of_an_endpoint_behind_envoy(
    own_log: EventLog, own_server: EmbeddedServer, tmp_path: Path
) -> None:
    discovery_port, port = free_port(), free_port()
    settings = {"ENVOY_PORT": str(discovery_port), "ENVOY_LISTENER_PORT": str(port)}
    async with (
        model_servers("a", "b", "c") as servers,
        counting_client(f"http://127.0.0.1:{port}") as client,
        consuming(member(own_log, ROUTE_TABLE)),
        running_envoy(tmp_path, discovery_port, port),
    ):
        story = Story(own_log, servers, client)
        async with publisher_process(own_log, "envoy", settings, tmp_path):
            await story.create()
            await story.until("a", "b", "c")

            await servers[2].stop()
            await story.health("c", "unhealthy")
            await story.until("a", "b")
            await story.until_acknowledged()
            assert set(await client.count("chat", 50)) == {"a", "b"}

            await story.ratio("a", 3)
            await story.until_acknowledged()
            answers = await client.count("chat", 200)
            assert abs(answers["a"] - 150) <= 4
            assert answers["a"] + answers["b"] == 200

            await story.service.terminate_route(story.endpoint_id, story.routes["a"])
            await story.until("b")

            await story.ratio("b", 0)
            await story.until("503")
            await story.ratio("b", 1)
            await story.until("b")

        assert set(await client.count("chat", 20)) == {"b"}  # nobody publishes
        await servers[2].start()
        await story.health("c", "healthy")
        async with publisher_process(own_log, "envoy", settings, tmp_path):
            await story.until("b", "c")

            own_server.kill()
            assert set(await client.count("chat", 50)) == {"b", "c"}
            own_server.start()
            await story.health("b", "unhealthy")
            await story.until("c")

            await rebuild(own_log)
            await story.health("b", "healthy")
            await story.until("b", "c")
            await story.until_acknowledged()
