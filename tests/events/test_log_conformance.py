"""What every log does, asked of the log on Redis and of the one in memory alike."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from uuid import UUID, uuid4

import anyio
import pytest
from msgspec.structs import replace

from events import (
    END,
    FSYNC,
    MEMORY,
    START,
    Durability,
    EndpointDestroyedEvent,
    EntryId,
    EventLog,
    Metadata,
    RouteFailedEvent,
)
from events.errors import ConflictError, InvalidEventError, NotDurableError
from events.log.batch import APPEND_MAX
from events.log.keys import partition_of
from events.log.protocol import READ_COUNT, AppendableLog
from tests.events.support.any_log import (
    KINDS,
    ROUTE,
    AnyLog,
    Kind,
    endpoint_in,
    lengths,
    open_any_log,
    ratio,
)
from tests.support.waiting import wait_until


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
async def any_log(kind: Kind, redis_url: str) -> AsyncIterator[AnyLog]:
    async with open_any_log(kind, redis_url) as opened:
        yield opened


@pytest.fixture
def log(any_log: AnyLog) -> AppendableLog:
    return any_log.log


@pytest.fixture
async def any_four(kind: Kind, redis_url: str) -> AsyncIterator[AnyLog]:
    """A log of four partitions."""
    async with open_any_log(kind, redis_url, partitions=4) as opened:
        yield opened


@pytest.fixture
def four(any_four: AnyLog) -> AppendableLog:
    return any_four.log


@pytest.fixture
async def waitaof(log: AppendableLog) -> None:
    """For tests that wait for the disk."""
    if isinstance(log, EventLog) and not await log.server.can_wait_for_fsync():
        pytest.skip("the server that was found has no WAITAOF: Redis 7.2 or Valkey 8 has")


async def test_an_event_is_read_as_it_was_appended(log: AppendableLog) -> None:
    event = ratio(uuid4())
    about = Metadata(request_id="r-1", traceparent="00-ab")
    appended = await log.append(event, metadata=about)
    [recorded] = [one async for one in log.read()]
    assert recorded.event == event
    assert (recorded.entry_id,) == appended.entry_ids
    assert (recorded.source, recorded.metadata, recorded.partition) == ("test", about, 0)
    assert UUID(recorded.event_id).version == 7
    assert appended.durability == MEMORY


async def test_many_events_are_appended_in_their_order(log: AppendableLog) -> None:
    endpoints = [uuid4(), uuid4()]
    events = [ratio(endpoints[number % 2], number / 100) for number in range(100)]
    appended = await log.append(*events)
    recorded = [one async for one in log.read()]
    assert [one.event for one in recorded] == events
    assert [one.entry_id for one in recorded] == list(appended.entry_ids)
    assert list(appended.entry_ids) == sorted(set(appended.entry_ids))
    assert len({one.event_id for one in recorded}) == 100


async def test_the_heads_are_those_of_the_last_entry_and_of_the_endpoints_last_event(
    log: AppendableLog,
) -> None:
    first, second = uuid4(), uuid4()
    assert await log.head(0) == await log.endpoint_head(first) == START
    appended = await log.append(ratio(first, 0.1), ratio(second), ratio(first, 0.2))
    again = await log.append(ratio(second))
    assert await log.endpoint_head(first) == appended.entry_ids[2]
    assert await log.endpoint_head(second) == await log.head(0) == again.entry_ids[0]
    assert await log.endpoint_head(uuid4()) == START


async def test_no_event_at_all_is_refused(log: AppendableLog) -> None:
    with pytest.raises(InvalidEventError, match="at least one"):
        await log.append()


async def test_one_append_has_a_limit(log: AppendableLog) -> None:
    event = ratio(uuid4())
    await log.append(*[event] * APPEND_MAX)
    with pytest.raises(InvalidEventError, match="2501 for one partition, the limit is 2500"):
        await log.append(*[event] * (APPEND_MAX + 1))
    assert await lengths(log) == [APPEND_MAX]


async def test_one_bad_event_and_nothing_is_written(log: AppendableLog) -> None:
    endpoint = uuid4()
    with pytest.raises(InvalidEventError, match="traffic_ratio"):
        await log.append(ratio(endpoint), ratio(endpoint, -0.5), ratio(endpoint))
    assert await lengths(log) == [0]


async def test_one_bad_event_and_nothing_is_written_in_any_partition(four: AppendableLog) -> None:
    first, second = endpoint_in(0, 4), endpoint_in(3, 4)
    for good, bad in ((first, second), (second, first)):
        with pytest.raises(InvalidEventError, match="traffic_ratio"):
            await four.append(ratio(good), ratio(bad, -0.5))
    assert await lengths(four) == [0, 0, 0, 0]


async def test_an_entry_that_is_too_large_and_nothing_is_written(log: AppendableLog) -> None:
    large = RouteFailedEvent(endpoint_id=uuid4(), route_id=ROUTE, errors=("\0" * 4_096,) * 32)
    await log.append(large)
    about = Metadata(request_id="x" * 500_000)
    with pytest.raises(InvalidEventError, match="the limit is 1048576"):
        await log.append(ratio(uuid4()), large, metadata=about)
    assert await lengths(log) == [1]


async def test_the_entry_ids_are_in_the_order_of_the_events_whatever_their_partitions(
    four: AppendableLog,
) -> None:
    endpoints = [endpoint_in(p, 4) for p in (2, 0, 3, 2, 1, 0)]
    appended = await four.append(*map(ratio, endpoints))
    by_id = {(one.partition, one.entry_id): one async for one in four.read()}
    for endpoint, entry_id in zip(endpoints, appended.entry_ids, strict=True):
        assert by_id[partition_of(endpoint, 4), entry_id].endpoint_id == endpoint


async def test_an_append_at_the_endpoints_head_lands(log: AppendableLog) -> None:
    endpoint, other = uuid4(), uuid4()
    first = await log.append(ratio(endpoint, 0.1), ratio(endpoint, 0.2), expected=START)
    await log.append(ratio(other), expected=START)
    await log.append(ratio(endpoint, 0.3), expected=first.entry_ids[-1])
    assert await lengths(log) == [4]


async def test_an_append_at_another_head_is_a_conflict_and_nothing_is_written(
    log: AppendableLog,
) -> None:
    endpoint = uuid4()
    first = await log.append(ratio(endpoint, 0.1))
    second = await log.append(ratio(endpoint, 0.2))
    for wrong in (START, first.entry_ids[0], second.entry_ids[0].after()):
        with pytest.raises(ConflictError, match="read it again and decide again") as conflict:
            await log.append(ratio(endpoint, 0.3), ratio(endpoint, 0.4), expected=wrong)
        assert conflict.value.head == second.entry_ids[0]
        assert (conflict.value.endpoint_id, conflict.value.expected) == (endpoint, wrong)
    assert await lengths(log) == [2]


async def test_of_many_appends_at_one_head_one_lands(log: AppendableLog) -> None:
    endpoint = uuid4()
    head = (await log.append(ratio(endpoint))).entry_ids[0]
    landed = []

    async def append(number: int) -> None:
        try:
            landed.append(await log.append(ratio(endpoint, number / 20), expected=head))
        except ConflictError:
            return

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(append, number)
    assert len(landed) == 1
    assert await lengths(log) == [2]


async def test_an_expected_head_is_one_endpoints(log: AppendableLog) -> None:
    with pytest.raises(InvalidEventError, match="expected: it applies to one endpoint"):
        await log.append(ratio(uuid4()), ratio(uuid4()), expected=START)
    assert await lengths(log) == [0]


async def test_a_destroyed_endpoint_can_still_be_told_of(log: AppendableLog) -> None:
    endpoint = uuid4()
    gone = await log.append(EndpointDestroyedEvent(endpoint_id=endpoint), expected=START)
    await log.append(ratio(endpoint), expected=gone.entry_ids[0])
    assert await lengths(log) == [2]


@pytest.mark.usefixtures("waitaof")
async def test_an_append_can_wait_for_the_disk(log: AppendableLog) -> None:
    durable = replace(FSYNC, timeout_ms=20_000)
    appended = await log.append(ratio(uuid4()), ratio(uuid4()), durability=durable)
    assert appended.durability == durable
    assert await lengths(log) == [2]


@pytest.mark.usefixtures("waitaof")
async def test_a_replica_that_is_missing_is_told_and_the_event_is_in_the_log(
    log: AppendableLog,
) -> None:
    two = Durability(replicas=2, timeout_ms=50)
    with pytest.raises(NotDurableError, match=r"replicas are 0 \(asked for: 2\)"):
        await log.append(ratio(uuid4()), durability=two)
    both = Durability(fsync=True, replicas=1, timeout_ms=50)
    with pytest.raises(NotDurableError, match=r"replicas are 0 \(asked for: 1\)"):
        await log.append(ratio(uuid4()), durability=both)
    assert await lengths(log) == [2]


async def test_reading_includes_both_ends(log: AppendableLog) -> None:
    endpoint = uuid4()
    ids = (await log.append(*(ratio(endpoint, n / 10) for n in range(10)))).entry_ids

    async def read(start: EntryId, end: EntryId) -> list[EntryId]:
        return [one.entry_id async for one in log.read(start, end)]

    assert await read(ids[2], ids[5]) == list(ids[2:6])
    assert await read(ids[2].after(), ids[4]) == list(ids[3:5])
    assert await read(START, ids[0]) == [ids[0]]
    assert await read(ids[9].after(), ids[9].after()) == []
    assert await read(ids[5], ids[2]) == []


async def test_reading_goes_on_beyond_one_chunk(log: AppendableLog) -> None:
    event = ratio(uuid4())
    ids = (await log.append(*[event] * (2 * READ_COUNT))).entry_ids
    ids += (await log.append(event)).entry_ids
    assert [one.entry_id async for one in log.read()] == list(ids)
    for count in (1, 7, READ_COUNT):
        chunks = [chunk async for chunk in log.read_entries(0, ids[-20], count=count)]
        assert [one.entry_id for chunk in chunks for one in chunk] == list(ids[-20:])
        assert max(map(len, chunks)) <= count


async def test_several_partitions_are_read_as_one_in_the_order_of_their_ids(
    four: AppendableLog,
) -> None:
    endpoints = [endpoint_in(p, 4) for p in (3, 0, 1, 3, 0, 2)]
    appended = [(await four.append(ratio(one))).entry_ids[0] for one in endpoints]
    places = sorted(zip(appended, (3, 0, 1, 3, 0, 2), strict=True))
    assert [one.entry_id async for one in four.read()] == [entry_id for entry_id, _ in places]
    of_three = [(one.entry_id, one.partition) async for one in four.read(partition=3)]
    assert of_three == [(appended[0], 3), (appended[3], 3)]
    assert [await four.head(p) for p in range(4)] == [appended[p] for p in (4, 2, 5, 3)]


async def test_what_cannot_be_read_is_passed_over_by_events_and_shown_raw(any_log: AnyLog) -> None:
    log = any_log.log
    await log.append(ratio(uuid4()))
    garbage = {b"name": b"route_created", b"payload": b"garbage"}
    strange = await any_log.add_entry(0, garbage)
    await any_log.add_entry(0, {b"name": b"not_ours", b"payload": b"{}"})
    await log.append(ratio(uuid4()))
    assert len([one async for one in log.read()]) == 2
    [raw] = [chunk async for chunk in log.read_entries(0)]
    assert (raw[1].entry_id, raw[1].fields) == (strange, garbage)


async def append_one_by_one(log: AppendableLog, count: int) -> list[EntryId]:
    return [(await log.append(ratio(uuid4()))).entry_ids[0] for _ in range(count)]


async def first(
    log: AppendableLog, count: int, cursor: EntryId | dict[int, EntryId]
) -> list[EntryId]:
    """Return the ids of the first events that a follower from *cursor* gets."""
    got: list[EntryId] = []
    with anyio.fail_after(20):
        async with aclosing(log.follow(cursor)) as events:
            async for recorded in events:
                got.append(recorded.entry_id)
                if len(got) == count:
                    break
    return got


async def test_a_follower_gets_what_lies_behind_its_cursor_and_what_comes(
    log: AppendableLog,
) -> None:
    ids = await append_one_by_one(log, 5)
    assert await first(log, 5, START) == ids
    assert await first(log, 2, ids[2]) == ids[3:]
    assert await first(log, 1, {0: ids[3]}) == ids[4:]


async def test_a_waiting_follower_gets_all_that_is_appended(log: AppendableLog) -> None:
    ids = await append_one_by_one(log, 2)
    got: list[EntryId] = []

    async def follow() -> None:
        async for recorded in log.follow(START):
            got.append(recorded.entry_id)  # noqa: PERF401 - it never ends

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        for _ in range(5):
            await wait_until(partial(has, got, len(ids)), "the follower has all there is")
            ids += await append_one_by_one(log, 3)
        await wait_until(partial(has, got, len(ids)), "the follower has the last ones")
        tasks.cancel_scope.cancel()
    assert got == ids


def has(got: list[EntryId], count: int) -> bool:
    return len(got) == count


async def test_a_follower_from_the_end_gets_nothing_older(log: AppendableLog) -> None:
    old = await append_one_by_one(log, 3)
    got: list[EntryId] = []
    new: list[EntryId] = []

    async def follow() -> None:
        async for recorded in log.follow(END):
            got.append(recorded.entry_id)
            if len(got) == 5:
                return

    async def is_followed() -> bool:
        new.extend(await append_one_by_one(log, 1))
        return len(got) >= 5

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await wait_until(is_followed, "the follower got five")
    assert set(got).isdisjoint(old)
    begin = new.index(got[0])
    assert got == new[begin : begin + 5]


async def test_every_follower_gets_every_event(log: AppendableLog) -> None:
    ids = await append_one_by_one(log, 4)
    assert [await first(log, 4, START) for _ in range(3)] == [ids] * 3


async def test_several_partitions_are_followed_from_a_cursor_of_each(four: AppendableLog) -> None:
    ids = {
        p: list((await four.append(*[ratio(endpoint_in(p, 4))] * 3)).entry_ids) for p in range(3)
    }
    cursor = {partition: own[0] for partition, own in ids.items()}
    wanted = sorted(one for own in ids.values() for one in own[1:])
    assert sorted(await first(four, len(wanted), cursor)) == wanted


async def test_what_cannot_be_read_does_not_stop_a_follower(any_log: AnyLog) -> None:
    await any_log.add_entry(0, {b"name": b"route_created", b"payload": b"[" * 100_000})
    ids = await append_one_by_one(any_log.log, 1)
    assert await first(any_log.log, 1, START) == ids
