"""Real traffic of release 25.15.0, played as its writers write it, into running processes."""

import random
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from consumers.processes.embedded import EmbeddedServer
from events.catalogue.health_check import shown_fields
from events.log.log import EventLog
from projections.route_table.endpoint import Endpoint
from tests.consumers.publishers.support.captured_outward import fed_proxies
from tests.consumers.publishers.support.publisher_process import publisher_process
from tests.consumers.publishers.traefik.conftest import skip_without_traefik
from tests.consumers.support.backend_ai import GROUP, endpoints, until_read
from tests.consumers.support.captured_traffic import (
    captured_cluster,
    consume_backend_ai,
    expected,
    play,
)
from tests.consumers.support.group_process import processes
from tests.support.running_consumer import dead_letters, members


@pytest.mark.timeout(400)
@pytest.mark.processes
async def test_the_log_a_coordinator_and_a_traefik_have_what_the_capture_must_lead_to(
    own_log: EventLog, own_server: EmbeddedServer, tmp_path: Path
) -> None:
    skip_without_traefik()
    async with captured_cluster(own_log, own_server.url) as played, fed_proxies() as fed:
        async with (
            processes(own_log, own_server.url) as started,
            publisher_process(own_log, "backend-ai", fed.handoff, tmp_path),
            publisher_process(own_log, "traefik-http", fed.polls, tmp_path),
        ):
            await started.start("route-table", "first")
            async with consume_backend_ai(own_log, own_server.url, played):
                await play(played, random.Random(0))
                await until_read(played, timeout_s=60)
            await fed.until_told()

        assert shown(await endpoints(own_log)) == expected()
        assert await dead_letters(played.stream, GROUP) == []
        assert await members(played.stream, GROUP) == []


def shown(found: dict[UUID, Endpoint]) -> dict[str, Any]:
    """Return the endpoints as the file of what is expected shows them."""
    return {str(endpoint_id): _shown(endpoint) for endpoint_id, endpoint in found.items()}


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    check = endpoint.health_check
    assert check is None or check.initial_delay is None
    health_check = None if check is None else shown_fields(check)
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
