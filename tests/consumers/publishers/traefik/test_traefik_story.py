"""The life of an endpoint, counted at the client of a real Traefik."""

from uuid import UUID

import pytest

from consumers.processes.embedded import EmbeddedServer
from events import EventLog
from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.health_check import HealthCheck
from producers.endpoints.endpoint_service import EndpointService, Recorded
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.publishers.support.traefik_dialects import Dialect
from tests.consumers.publishers.support.traefik_world import (
    Answers,
    ModelServer,
    Publishing,
    Requests,
    model_servers,
    publishing,
    until_counted,
)
from tests.support.projectors import member, rebuild
from tests.support.running_consumer import consuming

E = UUID(int=1)
PATH = f"/endpoints/{E}/v1/chat"


class Manager:
    """Records what happens, and waits until the proxy has it."""

    def __init__(self, log: EventLog, dialect: Dialect, requests: Requests) -> None:
        self.service = EndpointService(log)
        self._requests = requests
        self._proxy = dialect.proxy
        self.published: Publishing | None = None

    async def done(self, recorded: Recorded) -> None:
        assert self.published is not None
        await self.published.until_table(recorded.entry_ids[-1])
        await self.published.until_acknowledged(self._proxy)
        await self._requests.until_newest(PATH, self.published)

    async def create(self, *servers: ModelServer) -> None:
        check = HealthCheck(path="/health")
        await self.service.create(
            EndpointCreatedEvent(endpoint_id=E, name="chat", model="m", health_check=check)
        )
        await self.service.set_route_list(E, [server.record() for server in servers])
        for server in servers:
            await self.healthy(server)

    async def healthy(self, server: ModelServer) -> Recorded:
        return await self.service.record_status(E, server.route_id, "healthy")

    async def unhealthy(self, server: ModelServer) -> Recorded:
        return await self.service.record_status(E, server.route_id, "unhealthy")


@pytest.mark.timeout(240)
async def test_an_endpoint_lives_through_all_that_can_happen_to_it(
    own_server: EmbeddedServer, own_log: EventLog, dialect: Dialect, requests: Requests
) -> None:
    manager = Manager(own_log, dialect, requests)
    async with (
        model_servers("a", "b") as (a, b),
        consuming(member(own_log, ROUTE_TABLE)),
    ):
        await manager.create(a, b)
        async with publishing(own_log, dialect.publisher, dialect.settings) as published:
            manager.published = published
            await requests.until(PATH, "a", "b")
            await _a_replica_dies(manager, requests, b)
            await _weights_share_the_traffic(manager, requests, a)
            await _a_drain_costs_nothing(manager, requests, b)
            await _no_routes_are_503(manager, requests, a, b)
        async with requests.load(PATH) as answers:
            await manager.healthy(a)
            await manager.unhealthy(b)
            await until_counted(answers, 20)
            async with publishing(own_log, dialect.publisher, dialect.settings) as published:
                manager.published = published
                await requests.until(PATH, "a")
                await _redis_is_killed(manager, own_server, answers, b)
                await _the_route_table_is_rebuilt(manager, own_log, answers, b)
                await requests.until(PATH, "a")
        assert answers.keys() == {"a", "b"}


async def _a_replica_dies(manager: Manager, requests: Requests, b: ModelServer) -> None:
    clients = 4
    async with requests.load(PATH, clients) as answers:
        await until_counted(answers, 20)
        await b.kill()
        await manager.done(await manager.unhealthy(b))
        assert await requests.send(PATH, 20) == {"a": 20}
    failed = answers.total() - answers["a"] - answers["b"]
    assert failed <= clients + 0.05 * answers.total(), answers
    await b.start()
    await manager.done(await manager.healthy(b))
    assert (await requests.send(PATH, 20)).keys() == {"a", "b"}


async def _weights_share_the_traffic(manager: Manager, requests: Requests, a: ModelServer) -> None:
    await manager.done(await manager.service.set_traffic_ratio(E, a.route_id, 3.0))
    answers = await requests.send(PATH, 200)
    assert answers.keys() == {"a", "b"}
    assert abs(answers["a"] - 150) <= 4, answers


async def _a_drain_costs_nothing(manager: Manager, requests: Requests, b: ModelServer) -> None:
    async with requests.load(PATH) as answers:
        await until_counted(answers, 20)
        await manager.done(await manager.service.terminate_route(E, b.route_id))
        assert await requests.send(PATH, 20) == {"a": 20}
    assert answers.keys() == {"a", "b"}


async def _no_routes_are_503(
    manager: Manager, requests: Requests, a: ModelServer, b: ModelServer
) -> None:
    await manager.done(await manager.service.set_route_list(E, []))
    assert await requests.send(PATH, 4) == {"503": 4}
    await manager.service.set_route_list(E, [a.record(), b.record()])
    await manager.done(await manager.healthy(b))
    assert await requests.send(PATH, 4) == {"b": 4}


async def _redis_is_killed(
    manager: Manager, own_server: EmbeddedServer, answers: Answers, b: ModelServer
) -> None:
    own_server.kill()
    await until_counted(answers, 40)
    own_server.start()
    await manager.done(await manager.healthy(b))


async def _the_route_table_is_rebuilt(
    manager: Manager, log: EventLog, answers: Answers, b: ModelServer
) -> None:
    await rebuild(log)
    await until_counted(answers, 20)
    await manager.done(await manager.unhealthy(b))
