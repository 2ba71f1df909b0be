"""The core path on the oldest server that is supported, Debian's, in a container of its own."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import anyio
import pytest

from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.projector import Projector
from events import (
    FSYNC,
    EndpointCreatedEvent,
    HealthCheck,
    RouteRecord,
    open_log,
)
from events.errors import ServerRefusedError
from producers import EndpointService
from projections import ROUTE_TABLE, open_reader
from tests.support.container_server import ContainerServer, image_of


@pytest.fixture(scope="module")
def container_url() -> Iterator[str]:
    with TemporaryDirectory(prefix="routestream-") as folder:
        server = ContainerServer(Path(folder))
        server.image = image_of("redis-7.0")
        try:
            server.start()
            yield server.url
        finally:
            server.stop()


@pytest.mark.timeout(400)
async def test_an_event_becomes_a_routing_decision_on_redis_7_0(container_url: str) -> None:
    endpoint_id, route_id = uuid4(), uuid4()
    route = RouteRecord(
        route_id=route_id, kernel_host="10.0.0.1", kernel_port=8000, status="running"
    )
    settings = ConsumerSettings(block_ms=100)
    async with open_log(container_url) as log:
        projector = Projector(log, ROUTE_TABLE, 0, settings.policy)
        consumer = Consumer(log, 0, (ROUTE_TABLE.name, "one"), projector, settings)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(consumer.run)
            async with open_reader(log) as reader:
                service = EndpointService(log)
                created = EndpointCreatedEvent(
                    endpoint_id=endpoint_id,
                    name="chat",
                    model="m",
                    health_check=HealthCheck(path="/"),
                )
                await service.create(created)
                await service.set_route_list(endpoint_id, [route])
                assert reader.routable(endpoint_id) == ()
                await service.record_status(endpoint_id, route_id, "healthy")
                with anyio.fail_after(20):
                    while not reader.routable(endpoint_id):
                        await reader.changed()
                assert [r.route_id for r in reader.routable(endpoint_id)] == [route_id]
            await consumer.stop()


async def test_a_server_without_waitaof_refuses_fsync_before_anything_is_appended(
    container_url: str,
) -> None:
    created = EndpointCreatedEvent(endpoint_id=uuid4(), name="chat", model="m")
    async with open_log(container_url, namespace="fsync") as log:
        with pytest.raises(ServerRefusedError, match="WAITAOF"):
            await log.append(created, durability=FSYNC)
        assert [recorded async for recorded in log.read()] == []
