"""How old what `routestream endpoints` shows is, by the log's own clock."""

import json
from typing import Any
from uuid import UUID

import anyio

from consumers.cli.endpoints.endpoints import endpoints
from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.projector import Projector
from events import EndpointCreatedEvent, EventLog
from projections.read_model.store import ReadModelStore
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands
from tests.support.waiting import wait_until

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")


async def record(log: EventLog, name: str) -> str:
    event = EndpointCreatedEvent(endpoint_id=CHAT, name=name, model="llama-3")
    return str((await log.append(event)).entry_ids[0])


async def project(log: EventLog, name: str) -> None:
    """Run a projector until the endpoint has this name in its document, and stop it."""
    settings = ConsumerSettings(block_ms=100)
    projector = Projector(log, ROUTE_TABLE, 0, settings.policy)
    consumer = Consumer(log, 0, (ROUTE_TABLE.name, "c-1"), projector, settings)

    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)

    async def is_folded() -> bool:
        generation = await store.live_generation()
        held = await store.load(generation or 0, [str(CHAT)])
        return [endpoint.name for _, endpoint in held.values()] == [name]

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consumer.run)
        await wait_until(is_folded, "the event is folded")
        await consumer.stop()


async def knowledge(run: Commands) -> Any:  # noqa: ANN401 - JSON
    result = await run(endpoints, "show", str(CHAT), "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["knowledge"]


async def said(run: Commands) -> str:
    [line] = [one for one in await run.lines(endpoints, "show", "chat") if one[:9] == "knowledge"]
    return line


async def test_what_is_all_folded_is_up_to_date_with_the_logs_last_entry(
    log: EventLog, run: Commands
) -> None:
    head = await record(log, "chat")
    await project(log, "chat")
    told = await knowledge(run)
    assert told == {"group": "route-table", "head": head, "unfolded": None, "behind_s": 0.0}
    assert await said(run) == "knowledge  up to date: all is folded up to ID, AGE"
    assert (await run(endpoints, "ls")).stderr == ""


async def test_what_nobody_has_read_yet_makes_the_knowledge_old(
    log: EventLog, run: Commands
) -> None:
    await record(log, "chat")
    await project(log, "chat")
    unfolded, head = await record(log, "other"), await record(log, "another")
    told = await knowledge(run)
    assert (told["unfolded"], told["head"]) == (unfolded, head)
    assert 0 < told["behind_s"] < 30
    assert "not folded since ID (no consumer runs); the log ends at ID" in await said(run)
    result = await run(endpoints, "ls")
    assert result.stderr.startswith("knowledge of partition 0: ")


async def test_what_is_pending_is_not_folded_though_it_was_read(
    log: EventLog, run: Commands
) -> None:
    await record(log, "chat")
    await project(log, "chat")
    unfolded = await record(log, "other")
    await log.server.client.call(
        *("XREADGROUP", "GROUP", ROUTE_TABLE.name, "c-2", "STREAMS", log.keys.events(0), ">")
    )
    assert (await knowledge(run))["unfolded"] == unfolded
    assert "(1 pending)" in await said(run)


async def test_what_was_lost_and_seen_by_nobody_is_not_called_up_to_date(
    log: EventLog, run: Commands
) -> None:
    await record(log, "chat")
    await project(log, "chat")
    await record(log, "passed over")
    stream, group = log.keys.events(0), ROUTE_TABLE.name
    await log.server.client.call("XGROUP", "SETID", stream, group, "$")
    await project(log, "chat")
    shown = await run(endpoints, "show", str(CHAT))
    assert "not whole: 1 entry lost to route-table" in shown.stdout
    await log.server.client.call("HSET", log.keys.losses_seen(0, group), "entries", 1)
    assert "up to date" in (await run(endpoints, "show", str(CHAT))).stdout
