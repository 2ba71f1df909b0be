"""Entries that other programs add by XADD: an append sees them before it decides."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from events import START, EntryId, EventLog
from events.errors import ConflictError, ServerRefusedError
from producers import EndpointService
from producers.errors import EndpointDestroyedError
from tests.events.support.any_log import (
    KINDS,
    AnyLog,
    Kind,
    lengths,
    open_any_log,
    ratio,
    xadd_to,
)
from tests.support.running_consumer import created


@pytest.fixture(params=KINDS)
async def any_log(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[AnyLog]:
    kind: Kind = request.param
    async with open_any_log(kind, redis_url) as opened:
        yield opened


def fields(endpoint: UUID | str, name: bytes = b"endpoint_destroyed") -> dict[bytes, bytes]:
    return {b"name": name, b"v": b"1", b"payload": f'{{"endpoint_id":"{endpoint}"}}'.encode()}


async def test_an_append_at_a_head_that_a_foreign_entry_has_moved_is_a_conflict(
    any_log: AnyLog,
) -> None:
    endpoint, other = uuid4(), uuid4()
    first = (await any_log.log.append(ratio(endpoint), ratio(other))).entry_ids
    added = await any_log.add_entry(0, fields(endpoint))
    with pytest.raises(ConflictError) as conflict:
        await any_log.log.append(ratio(endpoint), expected=first[0])
    assert conflict.value.head == await any_log.log.endpoint_head(endpoint) == added
    await any_log.log.append(ratio(other), expected=first[1])
    await any_log.log.append(ratio(endpoint), expected=added)
    assert await lengths(any_log.log) == [5]


@pytest.mark.parametrize(
    "payload",
    [
        '{"endpoint_id":"%s"}',
        '{"note": {"a": [1]}, "endpoint_id" :\n "%s"}',
        '{"endpoint_id":"%s","note":"\\"endpoint_id\\":\\"none\\""}',
    ],
)
@pytest.mark.parametrize("written", [str, lambda uuid: str(uuid).upper(), lambda uuid: uuid.hex])
async def test_an_endpoint_is_known_however_it_is_written(
    any_log: AnyLog, payload: str, written: object
) -> None:
    endpoint = uuid4()
    assert callable(written)
    text = payload % written(endpoint)
    added = await any_log.add_entry(0, {b"payload": text.encode()})
    assert await any_log.log.endpoint_head(endpoint) == added


@pytest.mark.parametrize(
    "payload", [b"", b"garbage", b"[" * 100_000, b'{"endpoint_id":"abc"}', b'{"endpoint_id":7}']
)
async def test_an_entry_that_names_no_endpoint_moves_no_head(
    any_log: AnyLog, payload: bytes
) -> None:
    endpoint = uuid4()
    await any_log.log.append(ratio(endpoint))
    await any_log.add_entry(0, {b"payload": payload, b"id": b"counted"})
    head = await any_log.log.endpoint_head(endpoint)
    await any_log.log.append(ratio(endpoint), expected=head)
    assert await lengths(any_log.log) == [3]


async def test_the_service_sees_that_another_program_has_destroyed_the_endpoint(
    log: EventLog,
) -> None:
    service, endpoint = EndpointService(log), uuid4()
    await service.create(created(endpoint))
    await xadd_to(log)(0, fields(endpoint))
    with pytest.raises(EndpointDestroyedError):
        await service.update_health_check(endpoint, None)


async def test_many_foreign_entries_are_counted_in_bounded_steps(log: EventLog) -> None:
    endpoint = uuid4()
    first = (await log.append(ratio(endpoint))).entry_ids[0]
    async with (await log.server.at(log.keys.events(0))).pipeline() as pipeline:
        for number in range(2_500):
            strings = {**fields(endpoint), b"id": str(UUID(int=number)).encode()}
            pipeline.xadd(log.keys.events(0), strings)  # type: ignore[arg-type]
        *_, last = await pipeline.execute()
    with pytest.raises(ConflictError) as conflict:
        await log.append(ratio(endpoint), expected=first)
    assert conflict.value.head == EntryId.parse(last)
    counted = await log.server.client.call("HGET", log.keys.event_ids(0), "counted")
    assert counted == last


async def test_a_log_of_the_release_before_goes_on_with_the_heads_that_it_kept(
    log: EventLog,
) -> None:
    endpoint = uuid4()
    first = (await log.append(ratio(endpoint))).entry_ids[0]
    await log.server.client.call("DEL", log.keys.event_ids(0))
    with pytest.raises(ConflictError):
        await log.append(ratio(endpoint), expected=START)
    await log.append(ratio(endpoint), expected=first)
    added = await xadd_to(log)(0, fields(endpoint))
    assert await log.endpoint_head(endpoint) == added


async def test_heads_that_are_gone_are_counted_anew_from_the_log(log: EventLog) -> None:
    endpoint, event_id = uuid4(), uuid4()
    appended = await log.append(ratio(endpoint), event_ids=[event_id])
    await log.server.client.call("DEL", log.keys.event_ids(0), log.keys.heads(0))
    assert await log.endpoint_head(endpoint) == appended.entry_ids[0]
    assert await log.append(ratio(endpoint), event_ids=[event_id]) == appended


async def test_an_append_of_several_events_near_the_last_id_adds_none(log: EventLog) -> None:
    last = EntryId(2**64 - 1, 2**64 - 2)
    await log.server.client.call("XADD", log.keys.events(0), str(last), "name", "x")
    with pytest.raises(ServerRefusedError, match="at its last entry ids: add one event at a time"):
        await log.append(ratio(uuid4()), ratio(uuid4()))
    assert await lengths(log) == [1]
    assert (await log.append(ratio(uuid4()))).entry_ids == (last.after(),)
    with pytest.raises(ServerRefusedError, match="exhausted the last possible ID"):
        await log.append(ratio(uuid4()))
