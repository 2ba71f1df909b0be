"""The live view where it may not all it wants, where the server goes, and where there is much."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import anyio
import pytest

from consumers.cli.top.deployment_reader import DeploymentReader
from consumers.processes.embedded import EmbeddedServer
from events import EndpointCreatedEvent, EventLog, open_log
from events.log.keys import Keys
from events.server.server import open_server
from events.server.settings import ServerSettings
from projections.read_model.reader import ReaderSettings, RouteTableReader
from tests.consumers.support.live_view import GROUP, WIDE, deploy, go_live, record, screen

READING = ("+@read", "+info")
COMMANDS_MAX = 30
"""Of one look at a deployment with one partition, one group and dead letters of it."""


@pytest.fixture
async def filled(own_server: EmbeddedServer) -> AsyncIterator[EventLog]:
    async with open_log(own_server.url, namespace="night", source="test") as log:
        await deploy(log)
        yield log


@asynccontextmanager
async def as_reader(server: EmbeddedServer, *rules: str) -> AsyncIterator[EventLog]:
    """Open the log with an account that may only do what *rules* say."""
    async with open_server(ServerSettings(url=server.url)) as admin:
        await admin.client.call("ACL", "SETUSER", "eyes", "on", ">secret", "~*", *rules)
    url = server.url.replace("redis://", "redis://eyes:secret@")
    async with open_server(ServerSettings(url=url)) as opened:
        yield await EventLog.open(opened, Keys("night"), create=False)


async def counted(log: EventLog) -> dict[str, int]:
    stats: dict[str, Any] = await log.server.client.execute_command("INFO", "commandstats")
    return {name: told["calls"] for name, told in stats.items()}


async def test_an_account_that_may_only_read_sees_everything(
    own_server: EmbeddedServer, filled: EventLog
) -> None:
    async with as_reader(own_server, *READING) as log, screen(log, WIDE) as shown:
        await shown.until("c4a70000", "1 healthy, 1 unhealthy", "a-group", "working")
        await shown.until("undecodable", "model_service_status_updated")
        assert shown.app.seen is not None
        assert shown.app.seen.problems == {}
        await shown.press("enter")
        await shown.until("last events", "endpoint_created", "HISTORY")
    denied = await filled.server.client.execute_command("ACL", "LOG")
    objects = {dict(zip(one[::2], one[1::2], strict=True))[b"object"] for one in denied}
    assert objects <= {b"client|setname", b"client|setinfo", b"time", b"multi", b"exec"}


async def test_nothing_is_written_by_looking(own_server: EmbeddedServer, filled: EventLog) -> None:
    before = await filled.server.client.execute_command("INFO", "persistence")
    changes = before["rdb_changes_since_last_save"]
    async with screen(filled, WIDE) as shown:
        for key in ("2", "enter", "escape", "3", "enter", "escape", "4", "5", "s", "space"):
            await shown.press(key)
        await shown.until("PAUSED")
    after = await filled.server.client.execute_command("INFO", "persistence")
    assert after["rdb_changes_since_last_save"] == changes
    assert own_server.pid


async def test_a_refused_command_takes_one_pane_and_says_why(
    own_server: EmbeddedServer, filled: EventLog
) -> None:
    async with as_reader(own_server, *READING, "-xinfo|groups") as log, screen(log) as shown:
        await shown.press("3")
        await shown.until("no permissions to run the 'xinfo|groups' command")
        await shown.press("5")
        await shown.until("model_service_status_updated", "endpoint_created")
        await shown.press("2")
        await shown.until("c4a70000")
    assert filled.partitions == 1


async def test_endpoints_that_may_not_be_read_leave_the_rest(
    own_server: EmbeddedServer, filled: EventLog
) -> None:
    async with as_reader(own_server, *READING, "-hmget") as log, screen(log) as shown:
        await shown.press("5")
        await shown.until("endpoint_created")
    async with as_reader(own_server, *READING, "-get") as log, screen(log) as shown:
        await shown.press("2")
        await shown.until("no permissions to run the 'get' command")
        await shown.press("3")
        await shown.until(GROUP, "working")
    assert filled.partitions == 1


async def test_without_a_read_model_it_is_said_how_to_get_one(log: EventLog) -> None:
    await record(log)
    async with screen(log) as shown:
        await shown.until("has no live generation", "routestream consume", "endpoint_created")
        await go_live(log)
        await shown.until("c4a70000", "chat")


async def test_an_empty_log_is_an_empty_picture(log: EventLog) -> None:
    async with screen(log) as shown:
        await shown.until("0 endpoints", "backlog 0", "groups  0")


async def test_while_the_server_is_away_the_last_picture_stays_and_it_comes_back_by_itself(
    own_server: EmbeddedServer, filled: EventLog
) -> None:
    async with screen(filled) as shown:
        await shown.until("c4a70000", "a-group")
        own_server.kill()
        await shown.until("no connection since", "trying again", "c4a70000", "a-group")
        await shown.press("2")
        await shown.until("no connection since", "c4a70000", "e3bed000")
        await shown.press("enter")
        await shown.until("no connection")
        await shown.press("escape")
        own_server.start()
        await shown.until_not(("no connection",), ("c4a70000",))
        event = EndpointCreatedEvent(endpoint_id=UUID(int=5), name="n", model="storm")
        await filled.append(event)
        await shown.press("5")
        await shown.until("n: model storm")


async def test_one_look_is_a_small_number_of_commands_however_many_endpoints(
    own_server: EmbeddedServer, filled: EventLog
) -> None:
    await filled.append(
        *(
            EndpointCreatedEvent(endpoint_id=UUID(int=n), name=f"e-{n}", model="m")
            for n in range(1, 701)
        )
    )
    async with anyio.create_task_group() as tasks:
        client = filled.server.client
        await client.call("DEL", filled.keys.live(0, "route-table"))
        await go_live(filled)
        reader = RouteTableReader(filled.server, filled.keys, 1, ReaderSettings(block_ms=60_000))
        await tasks.start(reader.run)
        watch = DeploymentReader(filled, reader)
        await watch.look()
        before = await counted(filled)
        seen = await watch.look()
        after = await counted(filled)
        tasks.cancel_scope.cancel()
    assert len(seen.endpoints) == 702
    calls = {name: after[name] - before.get(name, 0) for name in after}
    assert sum(calls.values()) <= COMMANDS_MAX, calls
    assert own_server.pid


async def test_of_many_endpoints_the_first_are_shown_and_the_rest_is_counted(
    log: EventLog,
) -> None:
    await record(log)
    await log.append(
        *(
            EndpointCreatedEvent(endpoint_id=UUID(int=n), name=f"e-{n:03}", model="m")
            for n in range(1, 700)
        )
    )
    await go_live(log)
    async with screen(log) as shown:
        await shown.press("2")
        await shown.until("endpoints  701", "and 201 more")
        await shown.press("slash", *"e-699", "enter")
        await shown.until("filter e-699: 1", "e-699")


async def test_the_rates_follow_what_is_appended_and_ended(
    own_server: EmbeddedServer, filled: EventLog
) -> None:
    reader = RouteTableReader(filled.server, filled.keys, 1, ReaderSettings(block_ms=1_000))
    watch = DeploymentReader(filled, reader)
    assert (await watch.look()).rates == ()
    event = EndpointCreatedEvent(endpoint_id=UUID(int=5), name="n", model="m")
    await filled.append(*[event] * 10)
    stream, client = filled.keys.events(0), filled.server.client
    pending = await client.execute_command("XPENDING", stream, GROUP, "-", "+", 10)
    await client.call("XACK", stream, GROUP, *(entry_id for entry_id, *_ in pending))
    seen = await watch.look()
    [rate], [group] = seen.rates, seen.groups
    assert group.rate is not None
    # Ten were appended and two were ended, in the same time.
    assert group.rate / rate == pytest.approx(0.2)
    assert seen.backlog == "15"
    assert own_server.pid
