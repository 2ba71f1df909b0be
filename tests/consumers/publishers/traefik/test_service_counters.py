"""Traefik counts failures of services, not of servers: their routes are probed for that."""

from collections import Counter
from uuid import UUID

import anyio
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from consumers.processes.traefik_process import traefik_process
from consumers.publishers import proxy_counters
from consumers.publishers.traefik.service_counters import ServiceCounters, service_failures_of
from consumers.settings import Settings
from events import EventLog
from events.entry.entry_id import EntryId
from events.server.reply import reply_entries
from projections.health_state.probe_times import member_of
from tests.consumers.publishers.support.put_feed import PutFeed
from tests.consumers.publishers.support.traefik_dialects import Dialect
from tests.consumers.publishers.support.traefik_world import (
    endpoint,
    model_servers,
    publishing,
    requests_through,
    until_counted,
)
from tests.support.log_lines import captured_lines
from tests.support.read_model import WrittenTable
from tests.support.waiting import wait_until

ONE, OTHER = UUID(int=1), UUID(int=2)
PATH = f"/endpoints/{ONE}/v1/chat"


def counting(settings: Settings) -> Settings:
    """Return *settings* by which the metrics of each Traefik are read."""
    publish = settings.publish
    return replace(
        settings,
        publish=replace(
            publish,
            traefik_http=replace(publish.traefik_http, counters=True),
            traefik_redis=replace(publish.traefik_redis, counters=True),
        ),
    )


async def suspected(log: EventLog) -> set[bytes]:
    """Return the routes that were told to be probed."""
    raw = await log.server.client.call("XRANGE", log.keys.failed_requests(0), "-", "+")
    return {member for _, flat in reply_entries(raw) for member in flat[::2]}


async def test_routes_of_an_endpoint_whose_requests_are_tried_again_are_probed(
    log: EventLog, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_counters, "READ_EVERY_S", 0.05)
    table = WrittenTable(log)
    with traefik_process(*dialect.options, "--metrics.prometheus=true") as traefik:
        dialect.proved_by(traefik)
        async with (
            model_servers("a", "b", "c") as (a, b, c),
            requests_through(traefik) as requests,
        ):
            await table.begin(
                endpoint(1, a.route(), b.route(), version=EntryId(10, 1)),
                endpoint(2, c.route(), version=EntryId(10, 2)),
            )
            async with publishing(log, dialect.publisher, counting(dialect.settings)) as published:
                await published.until_acknowledged(dialect.proxy)
                await requests.until(PATH, "a", "b")
                await requests.send(f"/endpoints/{OTHER}/v1/chat", 4)
                assert await suspected(log) == set()
                await b.kill()
                async with requests.load(PATH) as answers:
                    await until_counted(answers, 20)
                    await wait_until(lambda: _are_suspected(log, a.route_id, b.route_id), "told")
    assert await log.server.client.call("EXISTS", log.keys.requests(0)) == 0


async def _are_suspected(log: EventLog, *route_ids: UUID) -> bool:
    return await suspected(log) == {member_of((ONE, one)).encode() for one in route_ids}


def test_requests_tried_again_and_broken_answers_are_failures() -> None:
    service = f'service="endpoint-{ONE}@http"'
    metrics = f"""
# TYPE traefik_service_requests_total counter
traefik_service_requests_total{{code="200",method="GET",protocol="http",{service}}} 90
traefik_service_requests_total{{code="502",method="GET",protocol="http",{service}}} 2
traefik_service_requests_total{{code="504",method="POST",protocol="http",{service}}} 3
traefik_service_requests_total{{code="500",method="GET",protocol="http",{service}}} 50
traefik_service_retries_total{{{service}}} 1e+01
traefik_service_retries_total{{service="endpoint-{OTHER}@redis"}} 7
traefik_service_retries_total{{service="endpoint-{"x" * 36}@redis"}} 7
traefik_service_retries_total{{service="another@file"}} 7
traefik_service_retries_total{{service="endpoint-{OTHER}@redis"}} 1.2.3
traefik_service_retries_total{{service="endpoint-{OTHER}@redis"}} 9e999
"""
    assert service_failures_of(metrics) == Counter({ONE: 15, OTHER: 7})


async def test_a_traefik_without_metrics_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_counters, "READ_EVERY_S", 0.01)
    asked = 0

    async def answer(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=404)

    application = web.Application()
    application.router.add_get("/metrics", answer)
    with captured_lines() as lines:
        async with TestServer(application) as server, ClientSession() as session:
            api = f"http://me:secret@127.0.0.1:{server.port}"
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ServiceCounters(api, PutFeed()).run, session)
                await wait_until(lambda: asked > 3, "it is asked again and again")
                tasks.cancel_scope.cancel()
    [told] = [line["why"] for line in lines if line["event"] == "counters_not_read"]
    assert "/metrics answers 404; Traefik has it with --metrics.prometheus=true" in told
    assert "secret" not in told
