"""Real traffic of release 25.15.0, played as its writers write it, into running processes."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any
from uuid import UUID

import anyio
import msgspec
import pytest

from consumers.processes.embedded import EmbeddedServer
from consumers.processes.supervisor import routestream_command
from events.log.log import EventLog
from producers.backend_ai.capture import read_capture
from projections.route_table.endpoint import Endpoint
from tests.consumers.support.backend_ai import (
    GROUP,
    STREAM_DATABASE,
    Cluster,
    cluster,
    endpoints,
    until_delivered,
    until_read,
)
from tests.support.running_consumer import dead_letters, members
from tests.support.waiting import wait_until

DATA = Path(__file__).parents[2] / "data"
CAPTURE = DATA / "backend-ai-25.15.0-traffic.jsonl"
EXPECTED = DATA / "backend-ai-25.15.0-expected.json"

BURST_MAX = 6
"""Entries that are written before the group has read those before them."""


@pytest.fixture
async def played(own_log: EventLog, own_server: EmbeddedServer) -> AsyncIterator[Cluster]:
    if not CAPTURE.exists() or not EXPECTED.exists():
        pytest.skip(f"the captured traffic is not there: {DATA}")
    async with cluster(own_log, own_server.url, stream="events") as opened:
        yield opened


@asynccontextmanager
async def consume_backend_ai(log: EventLog, url: str, played: Cluster) -> AsyncIterator[None]:
    """Run two processes of the group beside the block; stop them softly at its end."""
    environment = {
        **os.environ,
        "REDIS_URL": url,
        "ROUTESTREAM_NAMESPACE": log.keys.namespace,
        "ROUTESTREAM_BACKEND_AI_URL": url,
        "ROUTESTREAM_BACKEND_AI_BLOCK_MS": "100",
    }
    command = routestream_command("consume", "backend-ai", "--processes", "2")
    process = await anyio.open_process(
        command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, env=environment
    )
    async with process:
        try:

            async def has_begun() -> bool:
                assert process.returncode is None, "consume backend-ai ended by itself"
                return bool(await played.stream.server.client.call("EXISTS", "events"))

            await wait_until(has_begun, "the group is there")
            yield
            process.terminate()
            with anyio.fail_after(20):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()


async def play(played: Cluster, chance: random.Random) -> None:
    """Write the capture in bursts of entries, each after the group was given the one before."""
    left = 0
    for command in read_capture(CAPTURE):
        await played.command(command.db, command.args)
        if command.args[0] == b"XADD" and command.db == STREAM_DATABASE:
            left -= 1
            if left < 0:
                await until_delivered(played)
                left = chance.randrange(BURST_MAX)


@pytest.mark.timeout(400)
async def test_it_leads_to_what_the_capture_must_lead_to(
    own_log: EventLog, own_server: EmbeddedServer, played: Cluster
) -> None:
    async with consume_backend_ai(own_log, own_server.url, played):
        await play(played, random.Random(0))
        await until_read(played, timeout_s=60)

    assert shown(await endpoints(own_log)) == msgspec.json.decode(EXPECTED.read_bytes())
    assert await dead_letters(played.stream, GROUP) == []
    assert await members(played.stream, GROUP) == []


def shown(found: dict[UUID, Endpoint]) -> dict[str, Any]:
    """Return the endpoints as the file of what is expected shows them."""
    return {str(endpoint_id): _shown(endpoint) for endpoint_id, endpoint in found.items()}


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    health_check = msgspec.to_builtins(endpoint.health_check)
    if health_check is not None:
        assert health_check.pop("initial_delay") is None
    names = ("app", "kernel_host", "kernel_port", "traffic_ratio")
    routes = [
        {
            **{name: getattr(route, name) for name in names},
            "health": None if route.health == "not_checked" else route.health,
            "route_id": str(route.route_id),
            "session_id": str(route.session_id),
        }
        for route in endpoint.present_routes
    ]
    return {"health_check": health_check, "routes": routes}
