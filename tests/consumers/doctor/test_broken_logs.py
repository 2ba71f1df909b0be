"""What the doctor finds in logs that were really broken, each in one way."""

from uuid import uuid4

import anyio
import pytest
from msgspec.structs import replace

from consumers.doctor import log_findings
from consumers.errors import UnprocessableError
from consumers.runtime.group import Group
from events import EventLog
from events.entry.entry_id import START
from events.streams import group_activity
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.examination import examined_log, found, not_well, projecting
from tests.support.read_model import live_documents
from tests.support.running_consumer import (
    GROUP,
    UNCLAIMED,
    Handling,
    consumer_of,
    consuming,
    create_group,
    created,
    deliver,
    documents,
    fill,
    make_idle,
    members,
    until_dead,
    until_settled,
)
from tests.support.waiting import wait_until

ABOUT = f"group {GROUP}, partition 0"
TABLE = "read model route-table, partition 0"
NOT_PROJECTED = {
    "group route-table, partition 0": "warning",
    "group health-state, partition 0": "warning",
    TABLE: "error",
    "read model health-state, partition 0": "error",
}
"""What is wrong wherever nobody keeps the read models."""


async def test_a_log_that_is_read_has_nothing_wrong(log: EventLog) -> None:
    await fill(log, 5)
    async with projecting(log):
        findings = await examined_log(log)
    assert not_well(findings) == {}
    assert found(findings, TABLE).figure == "5 documents, 5 compared"
    assert found(findings, "group route-table, partition 0").figure == "lag 0, pending 0"


async def test_where_nobody_reads_each_missing_group_and_read_model_is_named(log: EventLog) -> None:
    await fill(log, 1)
    findings = await examined_log(log)
    assert not_well(findings) == NOT_PROJECTED
    finding = found(findings, "group route-table, partition 0")
    assert finding.to_do == "routestream consume route-table"
    assert finding.figure == "6 entries"


async def test_a_stream_of_another_type_is_found(log: EventLog) -> None:
    await log.server.client.call("SET", log.keys.events(0), "stray")
    finding = found(await examined_log(log), "partition 0")
    assert (finding.severity, finding.figure) == ("error", "string")


async def test_settings_with_another_number_of_partitions_are_found(log: EventLog) -> None:
    finding = found(await examined_log(log, partitions=4), "layout")
    assert (finding.severity, finding.figure) == ("error", "1")
    assert finding.to_do == "set ROUTESTREAM_PARTITIONS=1"


async def test_a_group_without_consumers_that_has_something_to_do_is_an_error(
    log: EventLog,
) -> None:
    await create_group(log)
    assert found(await examined_log(log), ABOUT).severity == "warning"
    await log.append(created(), created())
    finding = found(await examined_log(log), ABOUT)
    assert (finding.severity, finding.figure) == ("error", "backlog 2")
    assert "no consumer" in finding.what


async def test_who_reads_for_a_group_of_others_is_not_said_to_be_ours_to_start(
    log: EventLog,
) -> None:
    await create_group(log)
    await log.append(created())
    finding = found(await examined_log(log), ABOUT)
    expected = f"start whoever reads as {GROUP}, or routestream groups remove {GROUP}"
    assert finding.to_do == expected
    await create_group(log, ROUTE_TABLE.name)
    ours = found(await examined_log(log), "group route-table, partition 0")
    assert ours.to_do == "routestream consume route-table"


async def test_a_group_whose_consumers_are_silent_is_found(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_activity, "SILENT_MS", 0)
    await create_group(log)
    await log.append(created(), created(), created())
    await deliver(log, "first", 1)
    finding = found(await examined_log(log), ABOUT)
    assert (finding.severity, finding.figure) == ("error", "backlog 3")
    assert "none of its consumers" in finding.what


async def test_one_silent_consumer_among_others_is_named_with_what_is_pending_with_it(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_group(log)
    await log.append(created(), created())
    await deliver(log, "silent", 2)

    async def is_idle() -> int:
        told = await log.server.client.execute_command("XINFO CONSUMERS", log.keys.events(0), GROUP)
        return int(told[0]["idle"])

    async def stay_awake() -> None:
        while True:
            await Group(log.server, log.keys, 0, GROUP).join("awake")

    async def has_joined() -> bool:
        return "awake" in await members(log)

    while (idle_ms := await is_idle()) < 500:
        await anyio.lowlevel.checkpoint()
    monkeypatch.setattr(log_findings, "SILENT_MS", idle_ms)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stay_awake)
        await wait_until(has_joined, "another consumer asks")
        finding = found(await examined_log(log), ABOUT)
        tasks.cancel_scope.cancel()
    assert (finding.severity, finding.figure) == ("warning", "2 pending with 1 consumer")
    assert "consumer silent is silent" in finding.what


async def test_consumers_that_were_never_removed_are_counted(log: EventLog) -> None:
    await create_group(log)
    for number in range(log_findings.CONSUMERS_WARNING):
        await log.server.client.call(
            "XGROUP", "CREATECONSUMER", log.keys.events(0), GROUP, f"consumer-{number}"
        )
    finding = found(await examined_log(log), ABOUT)
    assert (finding.severity, finding.figure) == ("warning", "100")
    assert finding.to_do == f"routestream groups prune {GROUP}"


async def test_an_entry_that_nobody_claims_is_found(log: EventLog) -> None:
    await create_group(log)
    await log.append(created(), created())
    delivered = await deliver(log, "gone", 2)
    await make_idle(log, "gone", delivered[:1])
    finding = found(await examined_log(log), f"pending of {GROUP}, partition 0")
    assert finding.severity == "error"
    assert finding.figure == "2 pending, the oldest untouched for 1h, 1 delivery"
    assert f"entry {delivered[0]} waits with gone" in finding.what


async def test_pending_that_grows_behind_an_entry_that_does_not_end_is_found(
    log: EventLog,
) -> None:
    await create_group(log)
    for _ in range(10):
        await log.append(*(created() for _ in range(500)))
    await deliver(log, "stuck", 1)

    async def deliver_more() -> None:
        while await deliver(log, "stuck", 1):
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver_more)
        findings = await examined_log(log, look_again_after_s=0.3)
        tasks.cancel_scope.cancel()
    finding = found(findings, f"pending of {GROUP}, partition 0")
    assert finding.severity == "warning"
    before, after = (int(part) for part in finding.figure.split(", then "))
    assert 1 <= before < after
    assert "it grows" in finding.what


async def test_dead_letters_are_counted_by_their_reasons(log: EventLog) -> None:
    entries = (await log.append(*(created() for _ in range(5)))).entry_ids
    handling = Handling()
    for entry_id in entries[:3]:
        handling.failures[entry_id] = UnprocessableError("never")
    handling.failures[entries[3]] = RuntimeError("not now")
    async with consuming(consumer_of(log, handling)):
        await until_dead(log, 4)
        await until_settled(log)
        findings = await examined_log(log)
    finding = found(findings, f"dead letters of {GROUP}, partition 0")
    assert (finding.severity, finding.figure) == ("warning", "4")
    assert finding.what == "it has given up on entries: 3 unprocessable, 1 failed 3 times"


async def test_entries_trimmed_before_they_were_read_are_counted_as_lost(log: EventLog) -> None:
    await create_group(log)
    await log.append(*(created() for _ in range(10)))
    read = await deliver(log, "first", 2)
    await log.server.client.call("XACK", log.keys.events(0), GROUP, *map(str, read))
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "5")
    about = f"loss of {GROUP}, partition 0"
    finding = found(await examined_log(log), about)
    assert finding.severity == "error"
    assert finding.figure == "3, last noticed at an unknown time"
    handling = Handling()
    async with consuming(consumer_of(log, handling)):
        await until_settled(log)
        finding = found(await examined_log(log), about)
    lost = int(await log.server.client.execute_command("HGET", log.keys.lost(0), GROUP))
    assert lost == 3
    assert finding.figure.startswith("3, last noticed 20")


async def test_an_id_of_the_future_is_found(log: EventLog) -> None:
    [seconds, _] = await log.server.client.execute_command("TIME")
    future = f"{(seconds + 7_200) * 1_000}-0"
    await log.server.client.call("XADD", log.keys.events(0), future, "name", "x")
    finding = found(await examined_log(log), "newest entry, partition 0")
    assert finding.severity == "warning"
    assert finding.figure.startswith(f"{future}, ahead by 1h 59m")


async def test_a_group_that_stands_before_where_it_stood_is_found(log: EventLog) -> None:
    await create_group(log)
    first, second = (await log.append(created(), created())).entry_ids
    await deliver(log, "first", 1)
    await log.server.client.call("HSET", log.keys.positions(0), f"group:{GROUP}", str(second))
    finding = found(await examined_log(log), f"position of {GROUP}, partition 0")
    assert (finding.severity, finding.figure) == ("warning", f"at {first}, was at {second}")


async def test_a_document_that_is_missing_is_found_twice_over(log: EventLog) -> None:
    gone, *_ = await fill(log, 4)
    async with projecting(log):
        pass
    await log.server.client.call("HDEL", await live_documents(log, "route-table"), str(gone))
    findings = [one for one in await examined_log(log) if one.about == TABLE]
    assert [(one.severity, one.figure) for one in findings] == [
        ("error", "1 of 4 that were compared"),
        ("error", "3 of 4"),
    ]
    assert findings[0].what.endswith(f"although their events were handled, such as {gone}")
    assert findings[0].to_do == "routestream replay rebuild route-table"


async def test_a_document_that_lacks_a_handled_event_is_found(log: EventLog) -> None:
    endpoint, *_ = await fill(log, 4)
    async with projecting(log):
        pass
    revision, state = (await documents(log, ROUTE_TABLE))[endpoint]
    older = ROUTE_TABLE.encode(replace(state, version=START), revision)
    key = await live_documents(log, "route-table")
    await log.server.client.call("HSET", key, str(endpoint), older)
    finding = found(await examined_log(log), TABLE)
    assert finding.figure == "1 of 4 that were compared"
    assert "lack the last event" in finding.what
    await log.server.client.call("HSET", key, str(endpoint), "{")
    assert "cannot be read" in found(await examined_log(log), TABLE).what


async def test_what_was_not_yet_handled_is_no_gap(log: EventLog) -> None:
    endpoint, *_ = await fill(log, 2)
    async with projecting(log):
        pass
    await log.append(created(endpoint), created(uuid4()))
    assert found(await examined_log(log), TABLE).severity == "ok"
    await deliver(log, "another", 2, ROUTE_TABLE.name)
    assert found(await examined_log(log), TABLE).severity == "ok"


async def test_a_read_model_that_was_taken_away_is_found(log: EventLog) -> None:
    await fill(log, 1)
    async with projecting(log):
        pass
    await log.server.client.call("DEL", log.keys.live(0, "route-table"))
    finding = found(await examined_log(log), TABLE)
    assert (finding.severity, finding.figure) == ("error", "no live generation")


async def test_a_longer_log_is_examined_with_as_many_commands(log: EventLog) -> None:
    async def commands() -> int:
        before = await counted()
        await examined_log(log)
        return await counted() - before

    async def counted() -> int:
        told = await log.server.client.execute_command("INFO", "stats")
        return int(told["total_commands_processed"])

    await fill(log, 1)
    async with consuming(consumer_of(log, Handling(), settings=UNCLAIMED)):
        await until_settled(log)
    first = await commands()
    await fill(log, 400)
    async with consuming(consumer_of(log, Handling(), settings=UNCLAIMED)):
        await until_settled(log)
    assert await commands() == first
