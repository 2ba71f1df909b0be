"""Retention: up to where a partition may be cut, decided and read from a real server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.entry.entry_id import START, EntryId
from events.log.log import EventLog
from events.log.positions import Positions
from events.retention.retention import (
    Cut,
    Holder,
    RetentionRule,
    read_cut,
    read_holders,
    trimmed_to,
)
from events.streams.partition_stream import PartitionStream
from tests.events.support.old_entries import add_old, create, old_id, read
from tests.events.support.strategies import entry_ids

RULE = RetentionRule(keep_s=3_600)


LAST, FLOOR = EntryId(9, 0), EntryId(8, 0)


def cut_of(*holders: Holder, last: EntryId = LAST, floor: EntryId = FLOOR) -> Cut[PartitionStream]:
    stream = PartitionStream("s", 9, EntryId(1, 0), last, 9, START, partition=0)
    return Cut(stream, holders, floor)


holders = st.builds(
    Holder,
    name=st.text(min_size=1),
    stands_at=st.none() | entry_ids,
    oldest_pending=st.none() | entry_ids,
    is_passed_over=st.booleans(),
)


@given(st.lists(holders), entry_ids, entry_ids)
def test_a_cut_is_never_behind_what_anybody_needs(
    found: list[Holder], last: EntryId, floor: EntryId
) -> None:
    cut = cut_of(*found, last=last, floor=floor)

    assert cut.at <= floor
    assert cut.at <= last
    for holder in found:
        if not holder.is_passed_over:
            assert cut.at <= (holder.stands_at or START)
            assert holder.oldest_pending is None or cut.at <= holder.oldest_pending


def test_without_any_reader_the_age_decides() -> None:
    assert cut_of().at == EntryId(8, 0)
    assert cut_of().held_by == ()


def test_the_one_that_is_furthest_behind_is_named() -> None:
    slow = Holder(name="group:slow", stands_at=EntryId(7, 0), oldest_pending=EntryId(3, 0))
    cut = cut_of(Holder(name="group:quick", stands_at=EntryId(9, 0)), slow)

    assert cut.at == EntryId(3, 0)
    assert cut.held_by == (slow,)


def test_one_that_never_stood_anywhere_holds_everything() -> None:
    assert cut_of(Holder(name="archive", is_missing=True)).at == START


def test_a_rule_that_keeps_less_than_an_append_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="keep_s must be at least 120, got 119"):
        RetentionRule(keep_s=119)


async def of(log: EventLog, rule: RetentionRule = RULE) -> dict[str, Holder]:
    return {one.name: one for one in await read_holders(log, 0, rule)}


async def test_a_group_needs_what_is_pending_and_what_follows(log: EventLog) -> None:
    await add_old(log, 10)
    await create(log, "readers")
    await read(log, "readers", 4)
    await log.server.client.call("XACK", log.keys.events(0), "readers", str(old_id(0)))

    readers = (await of(log))["group:readers"]

    assert (readers.stands_at, readers.oldest_pending, readers.pending) == (old_id(3), old_id(1), 3)
    assert readers.keeps_from == old_id(1)
    assert readers.idle_ms is not None


async def test_a_lost_group_needs_what_follows_its_kept_position(log: EventLog) -> None:
    await add_old(log, 3)
    await Positions(log.server, log.keys, 0).advance("group:lost", old_id(1))

    lost = (await of(log))["group:lost"]

    assert (lost.is_missing, lost.keeps_from, lost.idle_ms) == (True, old_id(1), None)


async def test_a_kept_position_behind_the_groups_own_counts(log: EventLog) -> None:
    await add_old(log, 5)
    await create(log, "readers")
    await read(log, "readers", 5)
    await log.server.client.call("XGROUP", "SETID", log.keys.events(0), "readers", str(old_id(4)))
    await Positions(log.server, log.keys, 0).advance("group:readers", old_id(0))

    assert (await of(log))["group:readers"].keeps_from == old_id(0)


async def test_what_is_required_and_missing_is_shown_as_missing(log: EventLog) -> None:
    await add_old(log, 1)
    rule = RetentionRule(3_600, ("archive", "snapshot:route-table"), ("snapshot",))
    await Positions(log.server, log.keys, 0).advance("snapshot:route-table", old_id(0))

    found = await of(log, rule)

    assert found["archive"].is_missing
    assert found["archive"].keeps_from == START
    assert found["snapshot:route-table"].is_passed_over


async def test_where_nothing_was_appended_there_is_nothing_to_cut(log: EventLog) -> None:
    assert await read_cut(log, 0, RULE, 1_800_000_000_000) is None
    assert await trimmed_to(log, 0) is None


async def test_a_trim_by_somebody_else_is_noticed(log: EventLog) -> None:
    await add_old(log, 10)
    assert await trimmed_to(log, 0) is None

    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "=", 4)

    assert await trimmed_to(log, 0) == EntryId(old_id(6).ms - 1, 2**64 - 1)


async def test_a_log_that_somebody_emptied_is_gone_up_to_its_end(log: EventLog) -> None:
    await add_old(log, 3)

    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "=", 0)

    assert await trimmed_to(log, 0) == old_id(2)


async def test_an_entry_deleted_from_the_middle_is_missing_too(log: EventLog) -> None:
    await add_old(log, 5)

    await log.server.client.call("XDEL", log.keys.events(0), str(old_id(2)))

    assert await trimmed_to(log, 0) == old_id(2)


async def test_what_was_written_down_outlives_the_stream(log: EventLog) -> None:
    await add_old(log, 2)
    await Positions(log.server, log.keys, 0).advance("trimmed", old_id(7))

    assert await trimmed_to(log, 0) == old_id(7)
    await log.server.client.call("DEL", log.keys.events(0))
    assert await trimmed_to(log, 0) == old_id(7)
