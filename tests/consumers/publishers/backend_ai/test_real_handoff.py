"""The route table reaches clients through the released, unmodified AppProxy 25.15.0 and 26.4.3."""

import json
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from msgspec.structs import replace
from redis.asyncio import Redis

from consumers.processes.appproxy.appproxy_process import AppProxy
from consumers.processes.appproxy.configuration import API_SECRET
from consumers.publishers.backend_ai.coordinator_api import open_coordinator
from consumers.publishers.backend_ai.core_redis import open_core_redis
from consumers.publishers.backend_ai.handoff_coordinator import HandoffCoordinator
from consumers.publishers.backend_ai.handoff_entry import handoff_table
from consumers.publishers.backend_ai.settings import BackendAISettings
from consumers.publishers.proxy_ledger import ProxyNotes, ProxyState
from consumers.publishers.settings import PublishSettings
from consumers.publishers.table_snapshot import TableSnapshot
from consumers.settings import Settings
from events import EventLog
from events.server.client import Client
from events.server.reply import reply
from events.server.server import open_server
from events.server.settings import ServerSettings
from producers.backend_ai.wire import STREAM, StatusUpdated, decode
from tests.consumers.publishers.support.appproxy_servers import appproxy_or_skip
from tests.consumers.publishers.support.appproxy_stage import (
    SEEN_WITHIN_S,
    Stage,
    model_servers,
    open_stage,
)
from tests.consumers.publishers.support.appproxy_story import create, live_through_restarts
from tests.consumers.publishers.support.appproxy_tables import EMPTY, TABLES
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(600), pytest.mark.processes]

NONE = "503"

OLDER_ALONE = pytest.mark.parametrize("proxy", ["25.15.0"], indirect=True)
"""The newer one takes an event of an endpoint that it has not for handled, for example."""


@pytest.fixture(scope="module", params=["25.15.0", "26.4.3"])
def proxy(request: pytest.FixtureRequest) -> Iterator[AppProxy]:
    with appproxy_or_skip(request.param) as running:
        yield running


@pytest.fixture
async def stage(log: EventLog, proxy: AppProxy) -> AsyncIterator[Stage]:
    ours = BackendAISettings(
        form="handoff",
        coordinator_url=proxy.url,
        token=API_SECRET,
        redis_url=f"redis://127.0.0.1:{proxy.ports.redis}",
        reconcile_s=2,
        placeholder=f"127.0.0.1:{proxy.ports.placeholder}",
        placeholder_port=proxy.ports.placeholder,
    )
    async with open_stage(log, proxy, Settings(publish=PublishSettings(backend_ai=ours))) as opened:
        yield opened


async def test_clients_reach_the_routes_of_the_table_through_every_restart(stage: Stage) -> None:
    await live_through_restarts(stage, NONE)


@OLDER_ALONE
async def test_a_weight_counts_and_outlives_the_keys_that_carry_it(stage: Stage) -> None:
    stage.settings = with_handoff(stage, expiry_s=30)
    async with model_servers("one", "two") as routes, stage.publishing():
        chat = await create(stage, "chat")
        heavy = replace(routes[0], traffic_ratio=0.75)
        light = replace(routes[1], traffic_ratio=0.25)
        await stage.service.set_route_list(chat, [heavy, light])
        for one in routes:
            await stage.service.record_status(chat, one.route_id, "healthy")
        await stage.until_answered_by(chat, "one", "two")
        seen = await stage.answers(chat, requests=200)
        assert 110 < seen["one"] < 190, seen

        async with live_redis(stage) as redis:
            key = f"endpoint.{chat}.session.{heavy.session_id}.traffic_ratio"
            assert await redis.call("GET", key) == b"7500.0"
            await redis.call("PEXPIRE", key, 1)

            async def is_back() -> bool:
                left = await redis.call("TTL", key)
                return isinstance(left, int) and left > 20

            await wait_until(is_back, "the key was written again", SEEN_WITHIN_S)
        await stage.service.destroy(chat)
        await stage.until_gone(chat)


@OLDER_ALONE
async def test_health_is_told_to_one_of_each_group_and_to_all_who_listen(stage: Stage) -> None:
    url = f"redis://127.0.0.1:{stage.proxy.ports.redis}/4"
    async with model_servers("one") as [route], stage.publishing():
        chat = await create(stage, "chat")
        await stage.service.set_route_list(chat, [route])
        async with (
            open_server(ServerSettings(url=url)) as server,
            Redis.from_url(url) as redis,
            redis.pubsub() as heard,
        ):
            await heard.subscribe("events_all")
            await stage.service.record_status(chat, route.route_id, "unhealthy")
            event = StatusUpdated(known(route.session_id), "unhealthy")

            async def is_heard() -> bool:
                found = await heard.get_message(ignore_subscribe_messages=True, timeout=1.0)
                return found is not None and is_ours(found["data"], event)

            await wait_until(is_heard, "the broadcast", SEEN_WITHIN_S)

            async def is_there() -> bool:
                raw = await server.client.call("XRANGE", STREAM, "-", "+")
                entries = reply(raw, list[tuple[bytes, list[bytes]]])
                fields = [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in entries]
                ours = [one for one in fields if one[b"source"] == b"routestream"]
                return event in map(decode, ours)

            await wait_until(is_there, "the entry", SEEN_WITHIN_S)
        await stage.service.destroy(chat)
        await stage.until_gone(chat)


@OLDER_ALONE
async def test_an_endpoint_that_nobody_has_made_is_named_and_stops_no_other(stage: Stage) -> None:
    async with model_servers("one") as [route]:
        async with stage.publishing():
            chat = await create(stage, "chat")
            await stage.service.set_route_list(chat, [route])
            await stage.until_answered_by(chat, NONE)
        stage.settings = with_handoff(stage, coordinator_url="", token="")
        async with stage.publishing():
            unknown = await create(stage, "unknown")
            noted = await stage.until_noted(lambda state: state.refused == 1, "the refusal")
            assert noted.refusals[0].subject == "unknown"
            await stage.service.record_status(chat, route.route_id, "healthy")
            await stage.until_answered_by(chat, "one")
    stage.settings = with_handoff(stage, coordinator_url=stage.proxy.url, token=API_SECRET)
    async with stage.publishing():
        await stage.until_noted(lambda state: not state.refused, "it was made")
        for endpoint_id in (chat, unknown):
            await stage.service.destroy(endpoint_id)
            await stage.until_gone(endpoint_id)


@OLDER_ALONE
async def test_a_coordinator_that_checks_gives_traffic_to_what_it_finds_healthy(
    stage: Stage,
) -> None:
    stage.settings = with_handoff(stage, coordinator_checks=True)
    async with model_servers("one", "two") as routes, stage.publishing():
        chat = await create(stage, "chat")
        broken = replace(routes[1], kernel_port=stage.proxy.ports.placeholder)
        await stage.service.set_route_list(chat, [routes[0], broken])
        for one in (routes[0], broken):
            await stage.service.record_status(chat, one.route_id, "healthy")
        await stage.until_answered_by(chat, "one")
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
    made = handoff_table(table, ours)
    async with open_coordinator(ours) as api, open_core_redis(ours) as redis:
        coordinator = HandoffCoordinator(redis, api, notes, ours)
        await coordinator.publish(table, whole=True)
        assert notes.state.refused == len(made.refusals), notes.state.refusals
        assert (await stage.circuits()).keys() == table.endpoints.keys()
        await coordinator.publish(EMPTY, whole=False)
    assert await stage.circuits() == {}


def with_handoff(stage: Stage, **changes: Any) -> Settings:  # noqa: ANN401 - the settings' values
    ours = replace(stage.settings.publish.backend_ai, **changes)
    return Settings(publish=PublishSettings(backend_ai=ours))


@asynccontextmanager
async def live_redis(stage: Stage) -> AsyncIterator[Client]:
    url = f"redis://127.0.0.1:{stage.proxy.ports.redis}/2"
    async with open_server(ServerSettings(url=url)) as server:
        yield server.client


def is_ours(text: bytes, event: StatusUpdated) -> bool:
    read = json.loads(text)
    fields = {b"name": read["name"].encode(), b"args": b64decode(read["args"])}
    return read["source"] == "routestream" and decode(fields) == event


def known(session_id: UUID | None) -> UUID:
    assert session_id is not None
    return session_id
