"""What a process of the group backend-ai serves: its metrics, and whether it is ready."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from consumers.backend_ai.backend_ai_group import backend_ai_stream
from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.monitoring.targets import ExposedConsumers
from consumers.processes.embedded import EmbeddedServer
from events.log.log import EventLog
from tests.consumers.support.backend_ai import (
    GROUP,
    Cluster,
    cluster,
    reading,
    route,
    session_of,
    until_read,
)
from tests.consumers.support.exposition import PATIENT, Asked, asking


@pytest.fixture
async def played(log: EventLog, own_server: EmbeddedServer) -> AsyncIterator[Cluster]:
    async with cluster(log, own_server.url) as opened:
        yield opened


@asynccontextmanager
async def asked(log: EventLog, played: Cluster, member: HandlerConsumer) -> AsyncIterator[Asked]:
    async with backend_ai_stream(log.keys.namespace, played.settings) as source:
        exposed = ExposedConsumers(log, [member.progress], PATIENT, source=source)
        async with asking(exposed) as served:
            yield served


async def test_findings_backlog_and_losses_are_exposed(log: EventLog, played: Cluster) -> None:
    endpoint_id = uuid4()
    async with reading(log, played):
        await played.list_routes(endpoint_id, route(1))
        await until_read(played)
    await played.say_status(session_of(1), "unhealthy")
    await played.stream.server.client.call("XTRIM", played.settings.stream, "MAXLEN", 0)
    async with reading(log, played, "second") as member:
        await played.say_status(session_of(1), "healthy")
        await played.delete_key(f"endpoint.{endpoint_id}.route_connection_info")
        await played.say_list(endpoint_id)
        await until_read(played)
        async with asked(log, played, member) as served:
            await served.until("/readyz", 200)
            samples = await served.samples()

    labels = f"{GROUP} 0"
    assert samples[f"findings_total recorded {labels}"] == 1
    assert samples[f"findings_total key_missing {labels}"] == 1
    assert samples[f"findings_total unmatched {labels}"] == 0
    assert samples[f"lag_entries {labels}"] == 0
    assert samples[f"entries_lost_total {labels}"] == 1


async def test_it_is_not_ready_while_backend_ais_redis_is_away_and_lives_on(
    log: EventLog, own_server: EmbeddedServer, played: Cluster
) -> None:
    async with reading(log, played) as member:
        await played.say_list(uuid4())
        await until_read(played)
        async with asked(log, played, member) as served:
            await served.until("/readyz", 200)
            own_server.kill()
            await served.until("/readyz", 503)
            assert (await served.told("/livez"))[0] == 200
            own_server.start()
            await served.until("/readyz", 200)


async def test_it_is_not_ready_while_our_redis_is_away(
    own_log: EventLog, own_server: EmbeddedServer, redis_url: str
) -> None:
    async with cluster(own_log, redis_url) as played, reading(own_log, played) as member:
        await played.say_list(uuid4())
        await until_read(played)
        async with asked(own_log, played, member) as served:
            await served.until("/readyz", 200)
            own_server.kill()
            await served.until("/readyz", 503)
            own_server.start()
            await served.until("/readyz", 200)
