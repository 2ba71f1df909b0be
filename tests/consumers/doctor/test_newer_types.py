"""What is said of read models where a producer is newer than this version: nothing."""

from uuid import UUID, uuid4

from events import EventLog
from tests.consumers.support.examination import examined_log, found, not_well, projecting
from tests.support.read_model import live_documents
from tests.support.running_consumer import add_raw, fill

TABLE = "read model route-table, partition 0"


async def append_newer(log: EventLog, endpoint: UUID, name: bytes = b"route_warmed") -> None:
    """Append an event as a newer producer does, with the head that belongs to it."""
    payload = b'{"endpoint_id":"%s"}' % str(endpoint).encode()
    fields = (b"name", name, b"v", b"1", b"id", b"X", b"source", b"newer", b"payload", payload)
    head = await add_raw(log, *fields)
    await log.server.client.call("HSET", log.keys.heads(0), str(endpoint), str(head))


async def test_a_last_event_of_a_type_not_known_here_is_no_gap_in_a_read_model(
    log: EventLog,
) -> None:
    known, *_ = await fill(log, 3)
    async with projecting(log):
        await append_newer(log, known)
        await append_newer(log, uuid4())
    async with projecting(log):
        findings = await examined_log(log)
    assert not_well(findings) == {}
    assert found(findings, TABLE).figure == "3 documents, 4 compared"


async def test_a_last_event_that_cannot_be_read_is_told_as_a_dead_letter_alone(
    log: EventLog,
) -> None:
    endpoint, *_ = await fill(log, 2)
    async with projecting(log):
        pass
    await append_newer(log, endpoint, b"endpoint_created")
    async with projecting(log):
        findings = await examined_log(log)
    assert not_well(findings) == {
        f"dead letters of {group}, partition 0": "warning"
        for group in ("route-table", "health-state")
    }


async def test_a_document_that_is_missing_is_found_beside_newer_types(log: EventLog) -> None:
    gone, newer, *_ = await fill(log, 2)
    await append_newer(log, newer)
    async with projecting(log):
        pass
    for endpoint in (gone, newer):
        key = await live_documents(log, "route-table")
        await log.server.client.call("HDEL", key, str(endpoint))
    gap, lack = (one for one in await examined_log(log) if one.about == TABLE)
    assert (gap.severity, gap.figure) == ("error", "1 of 2 that were compared")
    assert gap.what.endswith(f"such as {gone}")
    assert (lack.severity, lack.figure) == ("error", "0 of 2")
