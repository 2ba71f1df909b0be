"""The registers of a state that nothing is known of beside its fields."""

from uuid import UUID

import msgspec

from events.entry.entry_id import START, EntryId
from projections.replay.registers import differences, registers_of
from tests.support.histories import (
    drained,
    endpoint_of,
    history,
    listed,
    record,
    route_created,
    terminating,
)


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    endpoint_id: UUID = UUID(int=0xE)
    version: EntryId = START
    note: str | None = None
    note_at: EntryId = START
    tries: int = 0


BEFORE = Noted(version=EntryId(7, 0), note="slow", note_at=EntryId(5, 0), tries=1)


def test_each_field_is_a_register_with_its_own_stamp_or_that_of_the_newest_event() -> None:
    assert [(one.path, one.value, one.at) for one in registers_of(BEFORE)] == [
        ("note", "slow", EntryId(5, 0)),
        ("tries", 1, EntryId(7, 0)),
        ("version", "7-0", EntryId(7, 0)),
    ]


def test_what_differs_is_named_with_the_event_that_set_it() -> None:
    after = msgspec.structs.replace(
        BEFORE, version=EntryId(9, 0), note="fast", note_at=EntryId(8, 0), tries=1
    )
    named = {one.register.path: one.register.at for one in differences(BEFORE, after)}
    assert named == {"note": EntryId(8, 0), "tries": EntryId(9, 0)}


def test_a_drain_that_counts_no_more_is_named_with_the_event_that_made_it_so() -> None:
    ended = history(listed(record()), terminating(), drained())
    again = history(listed(record()), terminating(), drained(), route_created())
    [register] = [
        one.register
        for one in differences(endpoint_of(ended), endpoint_of(again))
        if one.register.name == "drained"
    ]
    assert (register.value, register.at) == (False, again[-1].entry_id)
