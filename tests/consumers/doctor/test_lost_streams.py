"""What is said of partitions whose stream is gone, or ends before what was once there."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from consumers.cli.doctor.check import check
from events import EventLog, open_log
from events.entry.entry_id import EntryId
from events.log.keys import partition_of
from projections.errors import WAY_OUT
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands
from tests.consumers.support.examination import examined_log, found, not_well
from tests.support.read_model import live_documents
from tests.support.running_consumer import created

GROUP = "billing"
GONE = "history missing: the stream is gone although"
ENDS = "history missing: the stream ends at"
TABLE = "read model route-table, partition 1"


@pytest.fixture
async def log(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(redis_url, namespace=namespace, partitions=3, source="test") as opened:
        yield opened


async def append_to(log: EventLog, partition: int) -> tuple[UUID, EntryId]:
    endpoint = next(one for one in iter(uuid4, None) if partition_of(one, 3) == partition)
    [entry_id] = (await log.append(created(endpoint))).entry_ids
    return endpoint, entry_id


async def keep_position(log: EventLog, holder: str, entry_id: EntryId) -> None:
    await log.server.client.call("HSET", log.keys.positions(1), holder, str(entry_id))


async def test_a_stream_that_is_gone_is_an_error_that_says_how_far_it_went(
    log: EventLog, run: Commands
) -> None:
    _, entry_id = await append_to(log, 1)
    await keep_position(log, f"group:{GROUP}", entry_id)
    await append_to(log, 1)
    await log.server.client.call("DEL", log.keys.events(1))
    findings = await examined_log(log)
    finding = found(findings, "partition 1")
    assert finding.severity == "error"
    assert finding.what == f"{GONE} groups had handled entries up to {entry_id}"
    assert finding.to_do == WAY_OUT
    assert {"partition 0", "partition 2"}.isdisjoint(not_well(findings))
    checked = await run(check)
    assert checked.exit_code == 2
    assert checked.stdout.startswith("CRITICAL - partition 1: history missing: the stream is gone ")


async def test_where_no_position_was_kept_the_last_events_of_endpoints_tell(log: EventLog) -> None:
    _, entry_id = await append_to(log, 1)
    await log.server.client.call("DEL", log.keys.events(1))
    finding = found(await examined_log(log), "partition 1")
    assert finding.what == f"{GONE} entries were appended up to {entry_id}"


@pytest.mark.parametrize(
    ("holder", "did"),
    [
        (f"group:{GROUP}", "groups had handled entries"),
        ("archive", "the archive has entries"),
        ("snapshot:route-table", "a snapshot holds entries"),
    ],
)
async def test_a_stream_that_ends_before_a_kept_position_is_an_error_that_names_both(
    log: EventLog, holder: str, did: str
) -> None:
    _, entry_id = await append_to(log, 1)
    await keep_position(log, holder, entry_id)
    assert "partition 1" not in not_well(await examined_log(log))
    await keep_position(log, holder, entry_id.after())
    finding = found(await examined_log(log), "partition 1")
    expected = f"{ENDS} {entry_id} although {did} up to {entry_id.after()}"
    assert (finding.severity, finding.what) == ("error", expected)


async def test_a_stream_that_ends_before_the_last_event_of_an_endpoint_is_an_error(
    log: EventLog,
) -> None:
    endpoint, entry_id = await append_to(log, 1)
    await log.server.client.call("HSET", log.keys.heads(1), str(endpoint), str(entry_id.after()))
    finding = found(await examined_log(log), "partition 1")
    assert finding.what.startswith(f"{ENDS} {entry_id} although entries were appended")


async def test_a_stream_that_was_made_anew_with_its_groups_alone_is_an_error(log: EventLog) -> None:
    await append_to(log, 1)
    stream = log.keys.events(1)
    await log.server.client.call("DEL", stream)
    await log.server.client.call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
    finding = found(await examined_log(log), "partition 1")
    assert finding.what.startswith(f"{ENDS} 0-0 although entries were appended up to")
    await append_to(log, 1)
    assert "partition 1" not in not_well(await examined_log(log))


async def test_trimming_all_of_a_stream_is_no_loss_of_it(log: EventLog) -> None:
    _, entry_id = await append_to(log, 1)
    await keep_position(log, f"group:{GROUP}", entry_id)
    await log.server.client.call("XTRIM", log.keys.events(1), "MAXLEN", "0")
    assert "partition 1" not in not_well(await examined_log(log))


async def test_a_partition_to_which_nothing_was_appended_is_fine(log: EventLog) -> None:
    await append_to(log, 1)
    assert not_well(await examined_log(log)).keys() == {
        *("group route-table, partition 1", "group health-state, partition 1"),
        *(TABLE, "read model health-state, partition 1"),
    }


async def test_the_read_models_of_a_stream_that_is_gone_are_looked_at(log: EventLog) -> None:
    endpoint, entry_id = await append_to(log, 1)
    await keep_position(log, "group:route-table", entry_id)
    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 1)
    await build(log, store)
    await log.server.client.call("DEL", log.keys.events(1))
    findings = await examined_log(log)
    assert (found(findings, TABLE).severity, found(findings, TABLE).figure) == (
        *("ok", "1 document, 1 compared"),
    )
    none = found(findings, "read model health-state, partition 1")
    assert (none.severity, none.figure) == ("error", "no live generation")
    assert none.to_do == "see first what is said of partition 1"
    key = await live_documents(log, "route-table", 1)
    await log.server.client.call("HDEL", key, str(endpoint))
    gap, _ = (one for one in await examined_log(log) if one.about == TABLE)
    assert gap.what.startswith("endpoints have no document")
    assert "rebuild" not in gap.to_do
