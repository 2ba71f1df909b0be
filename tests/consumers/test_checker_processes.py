"""Health checkers as processes: one dies and is replaced, a server dies and is told of."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import anyio
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from events import EventLog, RouteRecord
from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import EndpointRouteListUpdatedEvent
from events.server.server import now_of
from producers.checker.known_checkers import read_known_checkers
from producers.checker.membership import MembershipSettings
from tests.consumers.support.checker_process import checker_process
from tests.consumers.support.examination import projecting
from tests.support.waiting import wait_until

ENDPOINTS = 16
INTERVAL_S, RETRIES = 0.3, 2
LOADED_S = 30.0
"""What a machine that is busy with other tests may take longer; a calm one takes no second."""


class Replicas:
    """A server of all routes: how often each endpoint was asked, by the path of its check."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.server = TestServer(web.Application())
        self.server.app.router.add_get("/{endpoint}", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked[request.match_info["endpoint"]] += 1
        return web.Response()


@pytest.fixture
async def replicas(log: EventLog) -> AsyncIterator[Replicas]:
    """A log with endpoints of one route each, all at one server."""
    made = Replicas()
    await made.server.start_server(shutdown_timeout=0)
    for number in range(ENDPOINTS):
        endpoint_id = UUID(int=number + 1)
        check = HealthCheck(
            path=f"/{number}", interval=INTERVAL_S, max_retries=RETRIES, initial_delay=0
        )
        record = RouteRecord(
            route_id=uuid4(),
            kernel_host="127.0.0.1",
            kernel_port=made.server.port,
            status="running",
        )
        await log.append(
            EndpointCreatedEvent(
                endpoint_id=endpoint_id, name=f"e{number}", model="m", health_check=check
            ),
            EndpointRouteListUpdatedEvent(endpoint_id=endpoint_id, routes=(record,)),
        )
    async with projecting(log):
        yield made
    await made.server.close()


async def observed(log: EventLog, status: str) -> list[int]:
    """Return when such a health was recorded, in ms, once for each event."""
    return [
        one.entry_id.ms
        async for one in log.read()
        if isinstance(one.event, ModelServiceStatusEvent) and one.event.new_status == status
    ]


async def living(log: EventLog) -> int:
    now_s = (await now_of(log.server)).timestamp()
    lifetime_s = MembershipSettings().lifetime_s
    known = await read_known_checkers(log.server.client.call, log.keys, lifetime_s, now_s)
    return 0 if known is None else len(known.living)


async def test_a_killed_checker_is_replaced_without_a_word_and_a_dead_server_is_told_of(
    log: EventLog, redis_url: str, replicas: Replicas
) -> None:
    async with AsyncExitStack() as stack:
        doomed = await checker_process(log, redis_url, stack)
        await checker_process(log, redis_url, stack)

        async def all_healthy() -> bool:
            return len(await observed(log, "healthy")) == ENDPOINTS and await living(log) == 2

        await wait_until(all_healthy, "two checkers have found all routes healthy", 120.0)
        doomed.kill()
        killed_at = anyio.current_time()
        await doomed.wait()
        replicas.asked.clear()
        await wait_until(
            lambda: len(replicas.asked) == ENDPOINTS, "all endpoints are probed again", 60.0
        )
        assert anyio.current_time() - killed_at < 5.0 + LOADED_S
        assert (len(await observed(log, "healthy")), await observed(log, "unhealthy")) == (
            ENDPOINTS,
            [],
        )
        await replicas.server.close()
        died_ms = (await now_of(log.server)).timestamp() * 1_000

        async def all_dead() -> bool:
            return len(await observed(log, "unhealthy")) == ENDPOINTS

        await wait_until(all_dead, "all routes are told to be unhealthy", 60.0)
        slowest_s = (max(await observed(log, "unhealthy")) - died_ms) / 1_000
        assert slowest_s < RETRIES * INTERVAL_S + 1.0 + LOADED_S
