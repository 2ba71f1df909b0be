"""The dead letters of the group backend-ai, which lie in Backend.AI's Redis."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from consumers.cli.dead.dead import dead
from consumers.cli.dead.requeue import drop_dead, requeue_dead
from consumers.errors import MissingSettingError
from consumers.processes.embedded import EmbeddedServer
from events.log.log import EventLog
from tests.consumers.support.backend_ai import GROUP, Cluster, cluster, reading, until_read
from tests.consumers.support.commands import Commands
from tests.support.running_consumer import dead_letters
from tests.support.waiting import wait_until

NO_EVENT = b"\xc1"


@pytest.fixture
async def played(log: EventLog, own_server: EmbeddedServer) -> AsyncIterator[Cluster]:
    async with cluster(log, own_server.url) as opened:
        yield opened


@pytest.fixture
def commands(log: EventLog, redis_url: str, played: Cluster) -> Commands:
    made = Commands(redis_url, log.keys.namespace)
    made.configure(backend_ai=played.settings)
    return made


async def give_up_on_one(log: EventLog, played: Cluster) -> str:
    """Let the group give up on an entry; return its id."""
    fields: dict[str, str | bytes] = {"name": "endpoint_route_list_updated", "args": NO_EVENT}
    entry_id = await played.add_fields(fields)
    async with reading(log, played):
        await until_read(played)
    assert len(await dead_letters(played.stream, GROUP)) == 1
    return str(entry_id)


async def rows(commands: Commands, *args: str) -> list[dict[str, Any]]:
    result = await commands(dead, *args, "-o", "json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = msgspec.json.decode(result.stdout)
    return found


async def test_they_are_listed_with_those_of_all_groups_and_by_their_own_name(
    log: EventLog, played: Cluster, commands: Commands
) -> None:
    entry_id = await give_up_on_one(log, played)

    [of_all] = await rows(commands, "ls")
    [of_one] = await rows(commands, "ls", "backend-ai")

    assert (of_all["group"], of_all["entry_id"]) == ("backend-ai", entry_id)
    assert of_one == of_all
    shown = await commands(dead, "show", entry_id)
    assert "group        backend-ai" in shown.stdout
    assert f"dead requeue backend-ai --ids {of_all['dead_id']}" in shown.output


async def test_one_that_is_requeued_is_tried_again(
    log: EventLog, played: Cluster, commands: Commands
) -> None:
    entry_id = await give_up_on_one(log, played)
    done = await commands(requeue_dead, "backend-ai", "--all", "--yes", "--reason", "mended")
    assert "1 requeued" in done.output
    assert await rows(commands, "ls") == []

    async with reading(log, played, "second"):

        async def is_dead_again() -> bool:
            return bool(await dead_letters(played.stream, GROUP))

        await wait_until(is_dead_again, "the group gave up on it again")

    [again] = await rows(commands, "ls")
    assert (again["entry_id"], again["requeued"]) == (entry_id, 1)


async def test_one_that_is_dropped_is_gone(
    log: EventLog, played: Cluster, commands: Commands
) -> None:
    await give_up_on_one(log, played)
    done = await commands(drop_dead, "--all", "--yes", "--reason", "a broken producer")

    assert "1 dropped" in done.output
    assert await dead_letters(played.stream, GROUP) == []


async def test_a_server_that_is_away_is_named_and_hides_no_other_group(
    log: EventLog, own_server: EmbeddedServer, commands: Commands
) -> None:
    dead_id = await log.server.client.call("XADD", log.keys.dead(0, "webhook"), "*", "a", "b")
    own_server.kill()

    of_all = await commands(dead, "ls", "-o", "json")
    of_one = await commands(dead, "ls", "backend-ai")

    assert isinstance(dead_id, bytes)
    assert [one["dead_id"] for one in msgspec.json.decode(of_all.stdout)] == [dead_id.decode()]
    assert "the dead letters of backend-ai cannot be read" in of_all.stderr
    assert of_one.exit_code != 0


async def test_where_it_is_not_set_up_the_setting_is_named(log: EventLog, redis_url: str) -> None:
    result = await Commands(redis_url, log.keys.namespace)(dead, "ls", "backend-ai")

    assert isinstance(result.exception, MissingSettingError)
    assert "backend_ai.url" in str(result.exception)
