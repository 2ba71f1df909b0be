"""The group backend-ai among the groups of a deployment, although its stream is another's."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from consumers.cli.doctor.doctor import doctor
from consumers.cli.groups.groups import groups
from consumers.cli.groups.show import show_group, show_losses
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


async def listed(log: EventLog, url: str, played: Cluster) -> list[dict[str, Any]]:
    commands = Commands(url, log.keys.namespace)
    commands.configure(backend_ai=played.settings)
    result = await commands(groups, "ls", "-o", "json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = msgspec.json.decode(result.stdout)
    return found


async def test_it_is_listed_with_its_lag(log: EventLog, redis_url: str, played: Cluster) -> None:
    async with reading(log, played):
        await played.list_routes(uuid4(), route(1))
        await until_read(played)
    await played.say_list(uuid4())
    [row] = await listed(log, redis_url, played)

    assert (row["group"], row["partition"], row["pending"], row["lag"]) == ("backend-ai", 0, 0, 1)


async def test_it_is_missing_while_nobody_reads_or_the_stream_cannot_be_read(
    log: EventLog, own_server: EmbeddedServer, redis_url: str, played: Cluster
) -> None:
    [before] = await listed(log, redis_url, played)
    own_server.kill()
    [after] = await listed(log, redis_url, played)

    assert (before["group"], before["state"]) == ("backend-ai", "missing")
    assert (after["group"], after["state"]) == ("backend-ai", "missing")


async def test_it_is_shown_by_its_name_with_its_losses_which_can_be_seen(
    log: EventLog, redis_url: str, played: Cluster
) -> None:
    async with reading(log, played):
        await played.list_routes(uuid4(), route(1))
        await until_read(played)
    await played.say_status(session_of(1), "healthy")
    await played.stream.server.client.call("XTRIM", played.settings.stream, "MAXLEN", 0)
    async with reading(log, played, "second"):
        await played.say_list(uuid4())
        await until_read(played)
    commands = Commands(redis_url, log.keys.namespace)
    commands.configure(backend_ai=played.settings)
    shown = await commands(show_group, "backend-ai")
    told = await commands(show_losses, "backend-ai", "--ack", "--yes", "--reason", "seen")
    again = await commands(doctor, "-o", "jsonl")

    assert "1 trimmed" in shown.stdout
    assert "trimmed" in told.stdout
    assert "unseen" not in again.stdout
    assert "the group routestream reads it" in again.stdout
