import pytest

from events import START, EntryId, EventLog
from events.log.positions import Positions
from projections.errors import HistoryMissingError
from projections.replay.partition_history import (
    CHUNK,
    TRIMMED,
    check_complete,
    extent_of,
    raw_entries,
)
from tests.support.running_consumer import append


async def read(log: EventLog, after: EntryId, until: EntryId) -> list[EntryId]:
    chunks = [chunk async for chunk in raw_entries(log, 0, after, until)]
    return [EntryId.parse(entry_id) for chunk in chunks for entry_id, _ in chunk]


async def test_the_history_is_read_behind_one_position_up_to_another(log: EventLog) -> None:
    ids = await append(log, 2 * CHUNK)
    assert await read(log, START, ids[-1]) == ids
    assert await read(log, ids[4], ids[9]) == ids[5:10]
    assert await read(log, ids[-1], ids[-1]) == []


async def test_an_empty_log_lacks_nothing(log: EventLog) -> None:
    extent = await extent_of(log, 0)
    assert (extent.first, extent.last, extent.length) == (None, START, 0)
    check_complete(0, START, extent)


async def test_a_whole_log_lacks_nothing(log: EventLog) -> None:
    ids = await append(log, 3)
    extent = await extent_of(log, 0)
    assert (extent.first, extent.last, extent.added) == (ids[0], ids[-1], 3)
    check_complete(0, START, extent)


async def test_what_others_trimmed_is_noticed_and_named(log: EventLog) -> None:
    ids = await append(log, 9)
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(ids[4]))
    extent = await extent_of(log, 0)
    with pytest.raises(HistoryMissingError, match=rf"first is {ids[4]}"):
        check_complete(0, START, extent)
    with pytest.raises(HistoryMissingError):
        check_complete(0, ids[2], extent)
    check_complete(0, ids[4], extent)


async def test_what_a_holder_says_was_trimmed_counts(log: EventLog) -> None:
    ids = await append(log, 9)
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(ids[4]))
    await Positions(log.server, log.keys, 0).advance(TRIMMED, ids[3])
    extent = await extent_of(log, 0)
    check_complete(0, ids[3], extent)
    with pytest.raises(HistoryMissingError, match=str(ids[3])):
        check_complete(0, ids[2], extent)


async def test_an_entry_deleted_from_the_middle_is_noticed(log: EventLog) -> None:
    ids = await append(log, 5)
    await log.server.client.call("XDEL", log.keys.events(0), str(ids[2]))
    extent = await extent_of(log, 0)
    with pytest.raises(HistoryMissingError, match=str(ids[2])):
        check_complete(0, ids[0], extent)
    check_complete(0, ids[2], extent)


async def test_a_log_trimmed_to_nothing_is_noticed(log: EventLog) -> None:
    ids = await append(log, 5)
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "0")
    extent = await extent_of(log, 0)
    with pytest.raises(HistoryMissingError, match=str(ids[-1])):
        check_complete(0, ids[-2], extent)
    check_complete(0, ids[-1], extent)
