"""The life of an endpoint, recorded by the endpoint service, and counted at a proxy's client."""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import uuid4

from consumers.publishers.proxy_ledger import read_proxies
from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus
from events.catalogue.route import RouteRecord
from events.log.log import EventLog
from producers.endpoints.endpoint_service import EndpointService
from tests.consumers.publishers.support.model_servers import CountingClient, NamedServer
from tests.support.waiting import wait_until


class Story:
    """An endpoint `chat` of three replicas, and how its traffic is counted."""

    def __init__(self, log: EventLog, servers: list[NamedServer], client: CountingClient) -> None:
        self.service = EndpointService(log)
        self.endpoint_id = uuid4()
        self.routes = {server.name: uuid4() for server in servers}
        self._log, self._servers, self._client = log, servers, client

    async def create(self, revisions: Mapping[str, str] = MappingProxyType({})) -> None:
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
                labels={"revision": revisions[server.name]} if revisions else {},
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
        """Return when the ledger says that the proxy has the newest event."""

        async def has_it() -> bool:
            newest = await self._log.head(0)
            return any(one.acknowledged == str(newest) for one in await read_proxies(self._log))

        await wait_until(has_it, "the proxy has the newest event", 30.0)
