"""Positions: each holder's, kept beside the log, never going back by themselves."""

import pytest

from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.log.positions import Positions, group_holder


async def test_nobody_stands_anywhere_at_first(log: EventLog) -> None:
    positions = Positions(log.server, log.keys, 0)

    assert await positions.all() == {}
    assert await positions.of("archive") is None


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        (EntryId(9, 0), EntryId(10, 0), EntryId(10, 0)),
        (EntryId(10, 0), EntryId(9, 0), EntryId(10, 0)),
        (EntryId(1, 9), EntryId(1, 10), EntryId(1, 10)),
        (EntryId(1, 10), EntryId(1, 9), EntryId(1, 10)),
        (EntryId(2**53, 0), EntryId(2**53 + 1, 0), EntryId(2**53 + 1, 0)),
        (EntryId(5, 5), EntryId(5, 5), EntryId(5, 5)),
    ],
)
async def test_a_position_never_goes_back(
    log: EventLog, first: EntryId, second: EntryId, stands: EntryId
) -> None:
    positions = Positions(log.server, log.keys, 0)

    assert await positions.advance(group_holder("a-group"), first)
    assert await positions.advance(group_holder("a-group"), second) == (second > first)

    assert await positions.all() == {"group:a-group": stands}


async def test_a_position_can_be_set_back_on_purpose_and_forgotten(log: EventLog) -> None:
    positions = Positions(log.server, log.keys, 0)
    await positions.advance("archive", EntryId(5, 0))

    await positions.set_back("archive", EntryId(2, 0))
    assert await positions.of("archive") == EntryId(2, 0)

    await positions.forget("archive")
    assert await positions.all() == {}
