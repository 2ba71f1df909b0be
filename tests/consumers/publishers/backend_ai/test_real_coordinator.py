"""The route table reaches clients through the released, unmodified AppProxy 26.9.6."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from msgspec.structs import replace

from consumers.processes.appproxy.appproxy_process import AppProxy
from consumers.processes.appproxy.configuration import API_SECRET
from consumers.publishers.backend_ai.bulk_coordinator import BulkCoordinator
from consumers.publishers.backend_ai.bulk_request import bulk_table
from consumers.publishers.backend_ai.coordinator_api import open_coordinator
from consumers.publishers.backend_ai.settings import BackendAISettings
from consumers.publishers.proxy_ledger import ProxyNotes, ProxyState
from consumers.publishers.settings import PublishSettings
from consumers.publishers.table_snapshot import TableSnapshot
from consumers.settings import Settings
from events import EventLog
from tests.consumers.publishers.support.appproxy_servers import appproxy_or_skip
from tests.consumers.publishers.support.appproxy_stage import Stage, model_servers, open_stage
from tests.consumers.publishers.support.appproxy_story import create, live_through_restarts
from tests.consumers.publishers.support.appproxy_tables import EMPTY, TABLES

pytestmark = [pytest.mark.timeout(600), pytest.mark.processes]

NONE = "503"


@pytest.fixture(scope="module")
def proxy() -> Iterator[AppProxy]:
    with appproxy_or_skip("26.9.6") as running:
        yield running


@pytest.fixture
async def stage(log: EventLog, proxy: AppProxy) -> AsyncIterator[Stage]:
    ours = BackendAISettings(coordinator_url=proxy.url, token=API_SECRET, reconcile_s=2)
    async with open_stage(log, proxy, Settings(publish=PublishSettings(backend_ai=ours))) as opened:
        yield opened


async def test_clients_reach_the_routes_of_the_table_through_every_restart(stage: Stage) -> None:
    await live_through_restarts(stage, NONE)


async def test_an_endpoint_that_cannot_be_made_is_named_and_stops_no_other(stage: Stage) -> None:
    lowest, highest = stage.proxy.ports.circuits
    ports = highest - lowest + 1
    async with model_servers("one") as [route], stage.publishing():
        made = [await create(stage, f"service-{n}") for n in range(ports)]
        await stage.until_noted(lambda state: not state.is_behind, "all were made")
        assert (await stage.circuits()).keys() == set(made)

        too_much = await create(stage, "one-too-many")
        noted = await stage.until_noted(lambda state: state.refused == 1, "the refusal")
        assert noted.refusals[0].subject == "one-too-many"

        await stage.service.set_route_list(made[0], [route])
        await stage.service.record_status(made[0], route.route_id, "healthy")
        await stage.until_answered_by(made[0], "one")

        await stage.service.destroy(made[1])
        noted = await stage.until_noted(lambda state: not state.refused, "its port is free")
        assert too_much in await stage.circuits()
        for endpoint_id in (made[0], *made[2:], too_much):
            await stage.service.destroy(endpoint_id)
        for endpoint_id in (*made, too_much):
            await stage.until_gone(endpoint_id)


async def test_what_a_coordinator_has_no_words_for_is_noted_of_the_route_alone(
    stage: Stage,
) -> None:
    async with model_servers("one", "two") as routes, stage.publishing():
        chat = await create(stage, "chat")
        odd = [
            replace(routes[1], route_id=uuid4(), session_id=None),
            replace(routes[1], route_id=uuid4(), session_id=uuid4(), protocol="grpc"),
            replace(routes[1], route_id=uuid4(), session_id=uuid4(), kernel_host="a?b#c"),
        ]
        heavy = replace(routes[0], traffic_ratio=3.0)
        await stage.service.set_route_list(chat, [heavy, routes[1], *odd])
        for route in (*routes, *odd):
            await stage.service.record_status(chat, route.route_id, "healthy")
        await stage.until_answered_by(chat, "one", "two")
        noted = await stage.until_noted(lambda state: state.refused == 4, "all four")
        subjects = {refusal.subject for refusal in noted.refusals}
        assert subjects == {"chat", *(f"chat route {route.route_id}" for route in odd)}
        await stage.service.destroy(chat)
        await stage.until_gone(chat)


async def test_a_wrong_token_is_said_and_nothing_is_lost_by_it(stage: Stage) -> None:
    right = stage.settings
    wrong = replace(right.publish.backend_ai, token="wrong")  # noqa: S106 - no password
    stage.settings = Settings(publish=PublishSettings(backend_ai=wrong))
    chat = await create(stage, "chat")
    async with stage.publishing():
        noted = await stage.until_noted(lambda state: bool(state.problem), "the problem")
        assert noted.problem is not None
        assert "publish.backend_ai.token" in noted.problem
    stage.settings = right
    async with stage.publishing():
        await stage.until_answered_by(chat, NONE)
        await stage.service.destroy(chat)
        await stage.until_gone(chat)


async def test_a_publisher_that_is_killed_catches_up_when_it_is_started_again(
    stage: Stage, redis_url: str, namespace: str
) -> None:
    environment = {
        **os.environ,
        "REDIS_URL": redis_url,
        "ROUTESTREAM_NAMESPACE": namespace,
        "ROUTESTREAM_PUBLISH_BACKEND_AI_COORDINATOR_URL": stage.proxy.url,
        "ROUTESTREAM_PUBLISH_BACKEND_AI_TOKEN": API_SECRET,
    }
    command = [sys.executable, "-m", "consumers", "publish", "backend-ai"]

    @asynccontextmanager
    async def publishing() -> AsyncIterator[None]:
        async with await anyio.open_process(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield
            finally:
                process.kill()

    async with model_servers("one", "two") as routes:
        async with publishing():
            chat = await create(stage, "chat")
            await stage.service.set_route_list(chat, routes)
            await stage.service.record_status(chat, routes[0].route_id, "healthy")
            await stage.until_answered_by(chat, "one")
        await stage.service.record_status(chat, routes[0].route_id, "unhealthy")
        await stage.service.record_status(chat, routes[1].route_id, "healthy")
        async with publishing():
            await stage.until_answered_by(chat, "two")
            await stage.service.destroy(chat)
            await stage.until_gone(chat)


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(table=TABLES)
async def test_whatever_the_table_holds_the_coordinator_takes_all_that_is_made_of_it(
    stage: Stage, table: TableSnapshot
) -> None:
    ours = stage.settings.publish.backend_ai
    notes = ProxyNotes(ProxyState(publisher="backend-ai", proxy="real"), lambda _: None)
    made = bulk_table(table, ours)
    async with open_coordinator(ours) as api:
        coordinator = BulkCoordinator(api, notes, ours)
        await coordinator.publish(table, whole=True)
        assert notes.state.refused == len(made.refusals), notes.state.refusals
        assert (await stage.circuits()).keys() == table.endpoints.keys()
        await coordinator.publish(EMPTY, whole=False)
    assert await stage.circuits() == {}
