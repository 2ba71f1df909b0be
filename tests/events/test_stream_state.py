"""The state of a stream and of its groups, as real servers tell it."""

import pytest

from events import EventLog
from events.entry.entry_id import START, EntryId
from events.errors import NoGroupError, ServerRefusedError, WrongTypeError
from events.streams.stream_group import (
    PendingEntry,
    StreamConsumer,
    StreamGroup,
    read_consumers,
    read_group,
    read_groups,
    read_oldest_pending,
    read_pending,
    read_settled,
)
from events.streams.stream_state import StreamState, read_stream_state, stream_state_of

GROUP = "readers"


@pytest.fixture
def stream(log: EventLog) -> str:
    return log.keys.events(0)


async def add(log: EventLog, stream: str, *entry_ids: str) -> None:
    for entry_id in entry_ids:
        await log.server.client.call("XADD", stream, entry_id, "field", "value")


async def deliver(log: EventLog, stream: str, consumer: str, count: int) -> None:
    read = ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, "STREAMS", stream, ">")
    await log.server.client.call(*read)


async def test_a_key_that_does_not_exist_is_no_stream_and_has_no_groups(
    log: EventLog, stream: str
) -> None:
    call = log.server.client.call
    assert await read_stream_state(call, stream) is None
    assert await read_groups(call, stream) == []
    assert await read_group(call, stream, GROUP) is None
    assert await read_settled(call, stream, GROUP) is None
    with pytest.raises(NoGroupError):
        await read_pending(call, stream, GROUP, count=1)
    with pytest.raises(NoGroupError):
        await read_consumers(call, stream, GROUP)


async def test_a_key_that_holds_something_else_is_named(log: EventLog, stream: str) -> None:
    call = log.server.client.call
    await call("SET", stream, "text")
    for read in (read_stream_state, read_groups):
        with pytest.raises(WrongTypeError, match="is not of the type that XINFO is for") as raised:
            await read(call, stream)
        assert raised.value.keys == [stream]
    with pytest.raises(WrongTypeError):
        await read_settled(call, stream, GROUP)


async def test_a_trimmed_stream_tells_what_it_held(log: EventLog, stream: str) -> None:
    call = log.server.client.call
    await add(log, stream, "1-0", "2-0", "2-1", "3-0")
    whole = await read_stream_state(call, stream)
    assert whole == StreamState(stream, 4, EntryId(1, 0), EntryId(3, 0), 4, START)
    assert whole.is_whole

    await call("XTRIM", stream, "MINID", "2-1")
    trimmed = await read_stream_state(call, stream)
    assert trimmed == StreamState(stream, 2, EntryId(2, 1), EntryId(3, 0), 4, START)
    assert (trimmed.removed, trimmed.is_whole, trimmed.is_gapless) == (2, False, True)

    await call("XTRIM", stream, "MAXLEN", 0)
    emptied = await read_stream_state(call, stream)
    assert emptied == StreamState(stream, 0, None, EntryId(3, 0), 4, START)


async def test_a_deleted_entry_leaves_a_gap(log: EventLog, stream: str) -> None:
    await add(log, stream, "1-0", "2-0", "3-0")
    await log.server.client.call("XDEL", stream, "2-0")
    state = await read_stream_state(log.server.client.call, stream)
    assert state is not None
    assert (state.deleted, state.is_gapless, state.removed) == (EntryId(2, 0), False, 1)


async def test_a_stream_that_only_a_group_made_never_held_anything(
    log: EventLog, stream: str
) -> None:
    await log.server.client.call("XGROUP", "CREATE", stream, GROUP, "$", "MKSTREAM")
    state = await read_stream_state(log.server.client.call, stream)
    assert state == StreamState.absent(stream)


async def test_a_group_whose_lag_is_lost_is_not_up_to_date(log: EventLog, stream: str) -> None:
    call = log.server.client.call
    await add(log, stream, "1-0", "2-0", "3-0", "4-0")
    await call("XGROUP", "CREATE", stream, GROUP, "2-0")
    await call("XDEL", stream, "3-0")
    state, group = (
        await read_stream_state(call, stream),
        await read_group(call, stream, GROUP),
    )
    assert group == StreamGroup(GROUP.encode(), 0, 0, EntryId(2, 0), None, None)
    assert state is not None
    assert state.lag_after(group.last_delivered, group.lag) is None


async def test_a_group_before_the_first_entry_has_all_that_is_left_to_read(
    log: EventLog, stream: str
) -> None:
    call = log.server.client.call
    await call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
    await add(log, stream, "1-0", "2-0", "3-0")
    await call("XTRIM", stream, "MINID", "3-0")
    state, group = (
        await read_stream_state(call, stream),
        await read_group(call, stream, GROUP),
    )
    assert state is not None
    assert group is not None
    assert state.lag_after(group.last_delivered, 99) == 1
    assert state.lag_after(EntryId(3, 0), None) == 0


async def test_a_group_is_settled_up_to_before_its_oldest_pending_entry(
    log: EventLog, stream: str
) -> None:
    call = log.server.client.call
    await call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
    assert await read_settled(call, stream, GROUP) == START
    await add(log, stream, "1-0", "2-0", "3-0")
    await deliver(log, stream, "one", 1)
    await deliver(log, stream, "two", 1)

    group = await read_group(call, stream, GROUP)
    assert group == StreamGroup(GROUP.encode(), 2, 2, EntryId(2, 0), 2, 1)
    oldest = await read_oldest_pending(call, stream, GROUP)
    assert oldest is not None
    assert oldest == PendingEntry(EntryId(1, 0), "one", oldest.idle_ms, 1)
    assert await read_settled(call, stream, GROUP) == EntryId(1, 0).before()

    await call("XACK", stream, GROUP, "1-0")
    assert await read_settled(call, stream, GROUP) == EntryId(2, 0).before()
    await call("XACK", stream, GROUP, "2-0")
    assert await read_oldest_pending(call, stream, GROUP) is None
    assert await read_settled(call, stream, GROUP) == EntryId(2, 0)


async def test_pending_entries_are_chosen_by_place_consumer_and_idle_time(
    log: EventLog, stream: str
) -> None:
    call = log.server.client.call
    await call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
    await add(log, stream, "1-0", "2-0", "3-0")
    await deliver(log, stream, "one", 2)
    await deliver(log, stream, "two", 1)
    claim = ("XCLAIM", stream, GROUP, "one", 0, "2-0", "IDLE", 3_600_000, "RETRYCOUNT", 7)
    await call(*claim)

    [third] = await read_pending(call, stream, GROUP, count=9, start="(2-0", end="+")
    assert (third.entry_id, third.consumer) == (EntryId(3, 0), "two")
    ones = await read_pending(call, stream, GROUP, count=9, consumer="one")
    assert [one.entry_id for one in ones] == [EntryId(1, 0), EntryId(2, 0)]
    [idle] = await read_pending(call, stream, GROUP, count=9, min_idle_ms=3_600_000)
    assert (idle.entry_id, idle.deliveries) == (EntryId(2, 0), 7)
    assert idle.idle_ms >= 3_600_000
    assert len(await read_pending(call, stream, GROUP, count=2)) == 2


async def test_consumers_are_told_with_what_is_pending_with_each(
    log: EventLog, stream: str
) -> None:
    call = log.server.client.call
    await call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
    await add(log, stream, "1-0")
    await deliver(log, stream, "one", 1)
    await call("XGROUP", "CREATECONSUMER", stream, GROUP, b"\xff")
    one, other = await read_consumers(call, stream, GROUP)
    assert one == StreamConsumer("one", 1, one.idle_ms)
    assert other == StreamConsumer("\\xff", 0, other.idle_ms)


async def test_two_groups_whose_names_are_no_text_stay_two(log: EventLog, stream: str) -> None:
    call = log.server.client.call
    for name in (b"\xff", b"\xfe"):
        await call("XGROUP", "CREATE", stream, name, "$", "MKSTREAM")
    groups = await read_groups(call, stream)
    assert {group.name for group in groups} == {"\\xff", "\\xfe"}
    for group in groups:
        assert await read_oldest_pending(call, stream, group.raw_name) is None


async def test_what_a_server_before_redis_7_does_not_tell_is_not_taken_for_none() -> None:
    told = {
        "length": 2,
        "radix-tree-keys": 1,
        "radix-tree-nodes": 2,
        "last-generated-id": b"2-0",
        "groups": 1,
        "first-entry": (b"1-0", {b"field": b"value"}),
        "last-entry": (b"2-0", {b"field": b"value"}),
    }
    state = stream_state_of("stream", told)
    assert state == StreamState("stream", 2, EntryId(1, 0), EntryId(2, 0), None, None)
    assert not state.is_whole
    assert not state.is_gapless
    assert state.lag_after(EntryId(1, 0), None) is None
    with pytest.raises(ServerRefusedError, match=r"Redis 7\.0 or newer"):
        _ = state.removed


async def test_a_group_of_a_server_before_redis_7_has_no_lag() -> None:
    async def answer(*_command: object) -> list[dict[str, object]]:
        return [{"name": b"g", "consumers": 0, "pending": 0, "last-delivered-id": b"1-0"}]

    assert await read_groups(answer, "stream") == [
        StreamGroup(b"g", 0, 0, EntryId(1, 0), None, None)
    ]
