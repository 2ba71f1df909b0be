"""Two commands that answer one question give one answer."""

import json
from typing import Any

import msgspec

from consumers.cli.doctor.doctor import doctor
from consumers.cli.events.tail import events
from consumers.cli.groups.groups import groups
from consumers.cli.replay.rebuild import replay
from consumers.cli.streams.streams import streams
from consumers.cli.streams.trim import trim
from consumers.groups.operations import operation
from consumers.groups.requeue import Requeue
from consumers.retention.settings import RetentionSettings
from consumers.runtime.projector import Projector
from events.catalogue.endpoint import EndpointDestroyedEvent
from events.log.log import EventLog
from events.log.positions import Positions
from projections.read_model.knowledge import read_knowledge
from projections.read_model.store import ReadModelStore
from projections.replay.folding import Folding
from projections.replay.rebuild import Rebuild
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of
from tests.consumers.support.examination import examined_log, found
from tests.events.support.old_entries import add_old, old_id
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    add_raw,
    consumer_of,
    consuming,
    created,
    dead_letters,
    fill,
    until_dead,
    until_settled,
)

NAME = ROUTE_TABLE.name


async def in_json(run: Commands, *command: Any) -> Any:  # noqa: ANN401 - JSON
    result = await run(*command, "-o", "json")
    assert end_of(result) == 0, result.output
    return json.loads(result.stdout)


async def test_an_entry_that_a_group_gave_up_is_called_so_until_it_is_requeued(
    log: EventLog, run: Commands
) -> None:
    projector = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
    async with consuming(consumer_of(log, projector, group=NAME)):
        await until_settled(log, NAME)
        broken = await add_raw(log, b"name", b"route_started", b"payload", b"{")
        [right] = (await log.append(created())).entry_ids
        [letter] = await until_dead(log, 1, NAME)
        await until_settled(log, NAME)

    async def state_of(entry_id: object) -> dict[str, Any]:
        [group] = (await in_json(run, events, "show", str(entry_id)))["groups"]
        return dict(group)

    given_up = await state_of(broken)
    assert (given_up["state"], given_up["dead_id"]) == ("dead letter", str(letter.dead_id))
    assert given_up["last_error"] == f"undecodable: {letter.error}"
    assert (await state_of(right))["state"] == "acknowledged"
    what = operation(NAME, "test", "")
    await Requeue(log, 0, NAME).requeue(await dead_letters(log, NAME), what)
    assert (await state_of(broken))["state"] == "pending"


async def test_what_streams_show_calls_safe_is_what_a_trim_cuts(
    log: EventLog, run: Commands
) -> None:
    await add_old(log, 9)
    call, stream = log.server.client.call, log.keys.events(0)
    await call("XGROUP", "CREATE", stream, GROUP, str(old_id(8)))

    async def both() -> tuple[str, Any, Any]:
        shown = await in_json(run, streams, "show", "0")
        [planned] = await in_json(run, trim, "--dry-run")
        assert shown["safe_before"] == planned["cut"]
        assert shown["held_by"] == planned["held_by"]
        return shown["safe_before"], shown["held_by"], planned["removed"]

    at, held_by, removed = await both()
    assert (at, removed) == ("0-0", 0)
    assert held_by == ["archive", "snapshot:health-state", "snapshot:route-table"]
    table = await run(streams, "show", "0")
    assert "nothing; held by archive, snapshot:health-state, snapshot:route-table" in table.stdout
    positions = Positions(log.server, log.keys, 0)
    for holder in held_by:
        await positions.advance(holder, old_id(5))
    assert (await both())[0] == str(old_id(5))
    run.configure(retention=RetentionSettings(without_archive=True, without_snapshot=True))
    assert (await both())[0] == str(old_id(8))


async def test_a_group_with_nothing_but_requeued_entries_is_stopped_for_everybody(
    log: EventLog, run: Commands
) -> None:
    [entry_id] = (await log.append(created())).entry_ids
    call, stream = log.server.client.call, log.keys.events(0)
    await call("XGROUP", "CREATE", stream, NAME, "$")
    await call(
        "XCLAIM", stream, NAME, "requeue", 0, str(entry_id), "FORCE", "JUSTID", "IDLE", 9_000_000
    )
    [group] = await in_json(run, groups, "ls")
    assert (group["state"], group["consumers"]) == ("stopped", 0)
    shown = await in_json(run, streams, "show", "0")
    assert shown["groups"][0]["consumers"] == 0
    [planned] = await in_json(run, trim, "--dry-run")
    readers = {reader["name"]: reader for reader in planned["readers"]}
    assert readers[f"group:{NAME}"]["is_dead"]
    finding = found(await examined_log(log), f"group {NAME}, partition 0")
    assert finding.what.startswith("it has no consumer")
    assert (await read_knowledge(call, log.keys, NAME, 0)).activity == "stopped"
    assert "no consumer" in (await run(doctor)).stdout


async def test_a_rollback_names_its_own_sides_and_its_exit_code_says_that_they_differ(
    log: EventLog, run: Commands
) -> None:
    [chat, *_] = await fill(log, 2)
    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
    projector = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
    async with consuming(consumer_of(log, projector, group=NAME)):
        await until_settled(log, NAME)
    generation = await store.live_generation() or 0
    revision, right = (await store.load(generation, [str(chat)]))[str(chat)]
    wrong = ROUTE_TABLE.encode(msgspec.structs.replace(right, name="wrong"), revision)
    key = log.keys.documents(0, NAME, generation)
    await log.server.client.call("HSET", key, str(chat), wrong)
    await Rebuild(log, store, Folding(ROUTE_TABLE, 0)).run()

    result = await run(replay, "rollback", NAME, "--yes")

    assert end_of(result) == 1
    [header] = [line for line in result.stdout.splitlines() if line.startswith("ENDPOINT")]
    assert header.split() == ["ENDPOINT", "REGISTER", "BEFORE", "NOW", "SET", "BY", "EVENT"]
    assert "1 documents differ from those that were live" in result.stderr
    assert end_of(await run(replay, "rollback", NAME, "--yes")) == 1  # and back again
    await log.append(EndpointDestroyedEvent(endpoint_id=chat))
