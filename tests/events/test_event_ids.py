"""Event ids that a caller gives: the log has each event once, however often it is appended."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from events import START, EndpointDestroyedEvent
from events.catalogue.event import Event, new_event_id
from events.errors import ConflictError, InvalidEventError
from events.log.protocol import AppendableLog
from tests.events.support.any_log import KINDS, AnyLog, Kind, lengths, open_any_log, ratio

ENDPOINT = uuid4()


@pytest.fixture(params=KINDS)
async def any_log(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[AnyLog]:
    kind: Kind = request.param
    async with open_any_log(kind, redis_url) as opened:
        yield opened


@pytest.fixture
def log(any_log: AnyLog) -> AppendableLog:
    return any_log.log


async def test_an_id_that_was_given_before_is_answered_with_the_first_entry(
    log: AppendableLog,
) -> None:
    endpoint, first, second = uuid4(), new_event_id(), uuid4()
    appended = await log.append(ratio(endpoint, 0.1), event_ids=[first], expected=START)
    await log.append(ratio(endpoint, 0.2))
    again = await log.append(ratio(endpoint, 0.1), event_ids=[first], expected=START)
    assert again == appended
    both = await log.append(ratio(endpoint, 0.3), ratio(endpoint, 0.1), event_ids=[second, first])
    assert both.entry_ids == (await log.head(0), *appended.entry_ids)
    assert await lengths(log) == [3]
    assert [one.event_id async for one in log.read()][::2] == [str(first), str(second)]


async def test_what_is_new_beside_what_is_known_must_be_at_the_expected_head(
    log: AppendableLog,
) -> None:
    endpoint, first = uuid4(), uuid4()
    await log.append(ratio(endpoint), event_ids=[first], expected=START)
    with pytest.raises(ConflictError):
        await log.append(
            ratio(endpoint), ratio(endpoint), event_ids=[first, uuid4()], expected=START
        )
    assert await lengths(log) == [1]


@pytest.mark.parametrize("other", [EndpointDestroyedEvent(endpoint_id=ENDPOINT), ratio(uuid4())])
async def test_an_id_of_another_event_is_refused_and_nothing_is_appended(
    log: AppendableLog, other: Event
) -> None:
    endpoint, event_id = ENDPOINT, uuid4()
    await log.append(ratio(endpoint), event_ids=[event_id])
    with pytest.raises(InvalidEventError, match=f"{event_id} is the id of another event, entry "):
        await log.append(ratio(endpoint), other, event_ids=[uuid4(), event_id])
    assert await lengths(log) == [1]


async def test_each_event_has_an_id_of_its_own(log: AppendableLog) -> None:
    event, event_id = ratio(uuid4()), uuid4()
    with pytest.raises(InvalidEventError, match="event_ids: 1 for 2 events, give one for each"):
        await log.append(event, event, event_ids=[event_id])
    with pytest.raises(InvalidEventError, match="event_ids: two events have the same"):
        await log.append(event, event, event_ids=[event_id, event_id])
    assert await lengths(log) == [0]


async def test_the_id_of_an_entry_that_another_program_added_is_known(any_log: AnyLog) -> None:
    event, event_id = ratio(uuid4()), uuid4()
    fields = {
        b"name": b"route_traffic_ratio_updated",
        b"id": str(event_id).encode(),
        b"payload": f'{{"endpoint_id": "{event.endpoint_id}"}}'.encode(),
    }
    added = await any_log.add_entry(0, fields)
    assert (await any_log.log.append(event, event_ids=[event_id])).entry_ids == (added,)
    assert await lengths(any_log.log) == [1]
