"""The core path on the oldest server that is supported, Debian's, in a container of its own."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest

from consumers.processes.embedded import answers
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

IMAGE = "routestream-test-redis"


@pytest.fixture(scope="module")
def container_url(monkeypatch_module: pytest.MonkeyPatch) -> Iterator[str]:
    if shutil.which("docker") is None or not _succeeds("docker", "info"):
        pytest.skip("no Docker engine is here; the same path runs on a local process elsewhere")
    if shutil.which("apt-get") is None:
        pytest.skip("the image is made of Debian's packages, and there is no apt-get here")
    # Its clean-up container would have to be pulled; ours ends with the fixture.
    monkeypatch_module.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - reads the setting

    if not _succeeds("docker", "image", "inspect", IMAGE):
        build = Path(__file__).parent / "build_image"
        subprocess.run([str(build), IMAGE], check=True, timeout=300)
    command = "/usr/bin/redis-server --bind 0.0.0.0 --protected-mode no --appendonly yes --save ''"
    container = DockerContainer(IMAGE).with_command(command)
    ports: Any = container.ports
    ports[6379] = ("127.0.0.1", None)  # loopback only, on a free port
    with container:
        port = int(container.get_exposed_port(6379))
        deadline = time.monotonic() + 30
        while not answers(port):
            assert time.monotonic() < deadline, "the container's server does not answer"
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


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
