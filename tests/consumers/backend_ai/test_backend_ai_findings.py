"""What the doctor finds about the group backend-ai."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from consumers.backend_ai.backend_ai_stream_settings import BackendAIStreamSettings
from consumers.cli.doctor.doctor import doctor
from consumers.doctor.backend_ai_findings import ABOUT, backend_ai_findings
from consumers.doctor.finding import Finding
from consumers.processes.embedded import EmbeddedServer
from events.log.log import EventLog
from tests.consumers.support.backend_ai import (
    Cluster,
    cluster,
    reading,
    route,
    session_of,
    until_read,
)
from tests.consumers.support.commands import Commands


@pytest.fixture
async def played(log: EventLog, own_server: EmbeddedServer) -> AsyncIterator[Cluster]:
    async with cluster(log, own_server.url) as opened:
        yield opened


async def found(log: EventLog, played: Cluster) -> list[Finding]:
    return list(await backend_ai_findings(log.keys.namespace, played.settings))


async def test_without_a_url_nothing_is_said(log: EventLog) -> None:
    assert await backend_ai_findings(log.keys.namespace, BackendAIStreamSettings()) == []


async def test_a_stream_that_nobody_reads_is_a_warning_with_the_command(
    log: EventLog, played: Cluster
) -> None:
    [finding] = await found(log, played)

    assert (finding.severity, finding.about) == ("warning", ABOUT)
    assert finding.to_do == "routestream consume backend-ai"


async def test_a_stream_that_is_read_is_as_it_should_be(log: EventLog, played: Cluster) -> None:
    async with reading(log, played):
        await played.list_routes(uuid4(), route(1))
        await until_read(played)
        [finding] = await found(log, played)

    assert (finding.severity, finding.figure) == ("ok", "lag 0")


async def test_losses_and_broken_entries_are_warnings(log: EventLog, played: Cluster) -> None:
    async with reading(log, played):
        await played.list_routes(uuid4(), route(1))
        await until_read(played)
    await played.say_status(session_of(1), "healthy")
    await played.stream.server.client.call("XTRIM", played.settings.stream, "MAXLEN", 0)
    await played.add_fields({"name": "endpoint_route_list_updated", "args": b"\xc1"})
    async with reading(log, played, "second"):
        await until_read(played)
    findings = await found(log, played)

    assert [(one.severity, one.figure) for one in findings] == [("warning", "1"), ("warning", "1")]
    assert "{" + log.keys.namespace + ":backend-ai:0}:dead:routestream" in findings[1].to_do


async def test_a_server_that_is_away_is_an_error(
    log: EventLog, own_server: EmbeddedServer, played: Cluster
) -> None:
    own_server.kill()
    [finding] = await found(log, played)

    assert finding.severity == "error"
    assert played.settings.stream in finding.what


async def test_the_doctor_looks_at_it_once_it_is_set_up(
    log: EventLog, redis_url: str, played: Cluster
) -> None:
    commands = Commands(redis_url, log.keys.namespace)
    before = await commands(doctor, "-o", "jsonl")
    commands.configure(backend_ai=played.settings)
    after = await commands(doctor, "-o", "jsonl")

    assert ABOUT not in before.stdout
    assert ABOUT in after.stdout
