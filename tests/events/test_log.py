from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import anyio
import pytest
from msgspec.structs import replace

from consumers.processes.embedded import EmbeddedServer, embedded_server
from events import (
    FSYNC,
    MEMORY,
    START,
    Durability,
    EndpointDestroyedEvent,
    EntryId,
    EventLog,
    Metadata,
    RouteFailedEvent,
    RouteTrafficRatioUpdatedEvent,
    open_log,
)
from events.errors import (
    ConflictError,
    InvalidEventError,
    LayoutError,
    NotDurableError,
    ServerRefusedError,
    ServerUnavailableError,
)
from events.log.batch import APPEND_MAX
from events.log.keys import Keys, partition_of
from events.log.protocol import READ_COUNT
from events.server.server import Server, open_server
from events.server.settings import ServerSettings
from tests.support.waiting import wait_until

ROUTE = uuid4()


def ratio(endpoint_id: UUID, traffic_ratio: float = 0.5) -> RouteTrafficRatioUpdatedEvent:
    return RouteTrafficRatioUpdatedEvent(
        endpoint_id=endpoint_id, route_id=ROUTE, traffic_ratio=traffic_ratio
    )


def endpoint_of(partition: int, partitions: int) -> UUID:
    return next(one for one in iter(uuid4, None) if partition_of(one, partitions) == partition)


async def lengths(log: EventLog) -> list[int]:
    call = log.server.client.execute_command
    return [int(await call("XLEN", log.keys.events(p))) for p in range(log.partitions)]


@pytest.fixture
async def four(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    """A log of four partitions."""
    async with open_log(redis_url, namespace=namespace, partitions=4) as opened:
        yield opened


async def test_an_event_is_read_as_it_was_appended(log: EventLog) -> None:
    event = ratio(uuid4())
    about = Metadata(request_id="r-1", traceparent="00-ab")
    appended = await log.append(event, metadata=about)
    [recorded] = [one async for one in log.read()]
    assert recorded.event == event
    assert (recorded.entry_id,) == appended.entry_ids
    assert (recorded.source, recorded.metadata, recorded.partition) == ("test", about, 0)
    assert UUID(recorded.event_id).version == 7
    assert appended.durability == MEMORY


async def test_many_events_are_appended_in_their_order(log: EventLog) -> None:
    endpoints = [uuid4(), uuid4()]
    events = [ratio(endpoints[number % 2], number / 100) for number in range(100)]
    appended = await log.append(*events)
    recorded = [one async for one in log.read()]
    assert [one.event for one in recorded] == events
    assert [one.entry_id for one in recorded] == list(appended.entry_ids)
    assert len({one.event_id for one in recorded}) == 100
    assert await log.head(0) == appended.entry_ids[-1]


async def test_no_event_at_all_is_refused(log: EventLog) -> None:
    with pytest.raises(InvalidEventError, match="at least one"):
        await log.append()


async def test_one_append_has_a_limit(log: EventLog) -> None:
    event = ratio(uuid4())
    await log.append(*[event] * APPEND_MAX)
    with pytest.raises(InvalidEventError, match="2501 for one partition, the limit is 2500"):
        await log.append(*[event] * (APPEND_MAX + 1))
    assert await lengths(log) == [APPEND_MAX]


async def test_one_bad_event_and_nothing_is_written(log: EventLog) -> None:
    endpoint = uuid4()
    with pytest.raises(InvalidEventError, match="traffic_ratio"):
        await log.append(ratio(endpoint), ratio(endpoint, 1.5), ratio(endpoint))
    assert await lengths(log) == [0]


async def test_one_bad_event_and_nothing_is_written_in_any_partition(four: EventLog) -> None:
    first, second = endpoint_of(0, 4), endpoint_of(3, 4)
    for good, bad in ((first, second), (second, first)):
        with pytest.raises(InvalidEventError, match="traffic_ratio"):
            await four.append(ratio(good), ratio(bad, 1.5))
    assert await lengths(four) == [0, 0, 0, 0]


async def test_an_entry_that_is_too_large_and_nothing_is_written(log: EventLog) -> None:
    large = RouteFailedEvent(endpoint_id=uuid4(), route_id=ROUTE, errors=("\0" * 4_096,) * 32)
    await log.append(large)
    about = Metadata(request_id="x" * 500_000)
    with pytest.raises(InvalidEventError, match="the limit is 1048576"):
        await log.append(ratio(uuid4()), large, metadata=about)
    assert await lengths(log) == [1]


async def test_the_entry_ids_are_in_the_order_of_the_events_whatever_their_partitions(
    four: EventLog,
) -> None:
    endpoints = [endpoint_of(p, 4) for p in (2, 0, 3, 2, 1, 0)]
    appended = await four.append(*map(ratio, endpoints))
    by_id = {(one.partition, one.entry_id): one async for one in four.read()}
    for endpoint, entry_id in zip(endpoints, appended.entry_ids, strict=True):
        assert by_id[partition_of(endpoint, 4), entry_id].endpoint_id == endpoint


async def test_an_append_at_the_endpoints_head_lands(log: EventLog) -> None:
    endpoint, other = uuid4(), uuid4()
    first = await log.append(ratio(endpoint, 0.1), ratio(endpoint, 0.2), expected=START)
    await log.append(ratio(other), expected=START)
    await log.append(ratio(endpoint, 0.3), expected=first.entry_ids[-1])
    assert await lengths(log) == [4]


async def test_an_append_at_another_head_is_a_conflict_and_nothing_is_written(
    log: EventLog,
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


async def test_of_many_appends_at_one_head_one_lands(log: EventLog) -> None:
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


async def test_an_expected_head_is_one_endpoints(log: EventLog) -> None:
    with pytest.raises(InvalidEventError, match="expected: it is the head of one endpoint"):
        await log.append(ratio(uuid4()), ratio(uuid4()), expected=START)
    assert await lengths(log) == [0]


@pytest.mark.usefixtures("waitaof")
async def test_an_append_can_wait_for_the_disk(log: EventLog) -> None:
    durable = replace(FSYNC, timeout_ms=20_000)
    appended = await log.append(ratio(uuid4()), ratio(uuid4()), durability=durable)
    assert appended.durability == durable
    assert await lengths(log) == [2]


async def test_a_server_without_a_file_is_asked_for_the_disk_in_vain(namespace: str) -> None:
    with embedded_server("--appendonly", "no") as server:
        async with open_log(server.url, namespace=namespace) as log:
            with pytest.raises(ServerRefusedError, match="appendonly yes; nothing was appended"):
                await log.append(ratio(uuid4()), durability=FSYNC)
            assert await lengths(log) == [0]


@pytest.mark.usefixtures("waitaof")
async def test_a_replica_that_is_missing_is_told_and_the_event_is_in_the_log(
    log: EventLog,
) -> None:
    two = Durability(replicas=2, timeout_ms=50)
    with pytest.raises(NotDurableError, match=r"replicas are 0 \(asked for: 2\)"):
        await log.append(ratio(uuid4()), durability=two)
    both = Durability(fsync=True, replicas=1, timeout_ms=50)
    with pytest.raises(NotDurableError, match=r"replicas are 0 \(asked for: 1\)"):
        await log.append(ratio(uuid4()), durability=both)
    assert await lengths(log) == [2]


async def test_an_append_can_wait_for_a_replica(namespace: str) -> None:
    with (
        embedded_server("--repl-diskless-sync-delay", "0") as primary,
        embedded_server("--replicaof", "127.0.0.1", str(primary.port)) as replica,
    ):
        async with (
            open_log(primary.url, namespace=namespace) as log,
            open_server(ServerSettings(url=replica.url)) as server,
        ):
            await wait_until(lambda: is_linked(server), "the replica follows the primary")
            one = Durability(replicas=1, timeout_ms=20_000)
            await log.append(ratio(uuid4()), durability=one)
            assert await server.client.execute_command("XLEN", log.keys.events(0)) == 1
        replica.kill()  # it would stay to end the rewriting of its file


async def is_linked(replica: Server) -> bool:
    about = await replica.client.execute_command("INFO", "replication")
    return bool(about["master_link_status"] == "up")


async def test_reading_includes_both_ends(log: EventLog) -> None:
    endpoint = uuid4()
    ids = (await log.append(*(ratio(endpoint, n / 10) for n in range(10)))).entry_ids

    async def read(start: EntryId, end: EntryId) -> list[EntryId]:
        return [one.entry_id async for one in log.read(start, end)]

    assert await read(ids[2], ids[5]) == list(ids[2:6])
    assert await read(ids[2].after(), ids[4]) == list(ids[3:5])
    assert await read(START, ids[0]) == [ids[0]]
    assert await read(ids[9].after(), ids[9].after()) == []
    assert await read(ids[5], ids[2]) == []


async def test_reading_goes_on_beyond_one_chunk(log: EventLog) -> None:
    event = ratio(uuid4())
    ids = (await log.append(*[event] * (2 * READ_COUNT))).entry_ids
    ids += (await log.append(event)).entry_ids
    assert [one.entry_id async for one in log.read()] == list(ids)
    for count in (1, 7, READ_COUNT):
        chunks = [chunk async for chunk in log.read_entries(0, ids[-20], count=count)]
        assert [one.entry_id for chunk in chunks for one in chunk] == list(ids[-20:])


async def test_several_partitions_are_read_as_one_in_the_order_of_their_ids(
    four: EventLog,
) -> None:
    stamps = [(3, "5-0"), (0, "9-0"), (1, "9-1"), (3, "10-0"), (0, "10-1"), (2, "100-0")]
    endpoints = {p: endpoint_of(p, 4) for p in range(4)}
    for partition, stamp in stamps:
        payload = f'{{"endpoint_id":"{endpoints[partition]}"}}'
        of = ("name", "endpoint_destroyed", "payload", payload)
        await four.server.client.call("XADD", four.keys.events(partition), stamp, *of)
    read = [(one.partition, str(one.entry_id)) async for one in four.read()]
    assert read == stamps
    of_three = [str(one.entry_id) async for one in four.read(partition=3)]
    assert of_three == ["5-0", "10-0"]
    between = [str(one.entry_id) async for one in four.read(EntryId(9, 0), EntryId(10, 0))]
    assert between == ["9-0", "9-1", "10-0"]


async def test_what_cannot_be_read_is_passed_over_by_events_and_shown_raw(log: EventLog) -> None:
    await log.append(ratio(uuid4()))
    call = log.server.client.execute_command
    await call("XADD", log.keys.events(0), "*", "name", "route_created", "payload", "garbage")
    await call("XADD", log.keys.events(0), "*", "name", "not_ours", "payload", "{}")
    await log.append(ratio(uuid4()))
    assert len([one async for one in log.read()]) == 2
    [raw] = [chunk async for chunk in log.read_entries(0)]
    assert raw[1].fields == {b"name": b"route_created", b"payload": b"garbage"}


async def test_a_log_keeps_its_number_of_partitions(redis_url: str, namespace: str) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=4):
        pass
    async with open_log(redis_url, namespace=namespace) as again:
        assert again.partitions == 4
    with pytest.raises(LayoutError, match="was made with 4, it cannot be opened with 2"):
        async with open_log(redis_url, namespace=namespace, partitions=2):
            pytest.fail("it was opened")


@pytest.mark.parametrize("partitions", [0, -1, 1_025])
async def test_a_number_of_partitions_has_limits(
    redis_url: str, namespace: str, partitions: int
) -> None:
    with pytest.raises(LayoutError, match="1 to 1024 are"):
        async with open_log(redis_url, namespace=namespace, partitions=partitions):
            pytest.fail("it was opened")


async def test_opening_a_log_only_to_read_writes_nothing(redis_url: str, namespace: str) -> None:
    async with open_server(ServerSettings(url=redis_url)) as server:
        log = await EventLog.open(server, Keys(namespace), create=False)
        assert [one async for one in log.read()] == []
        assert await log.head(0) == START
        assert (
            await server.client.execute_command("EXISTS", log.keys.layout, log.keys.events(0)) == 0
        )


async def test_without_a_server_the_address_is_said(own_server: EmbeddedServer) -> None:
    own_server.kill()
    with pytest.raises(ServerUnavailableError, match=f"no Redis at 127.0.0.1:{own_server.port}"):
        async with open_log(own_server.url):
            pytest.fail("it was opened")


async def test_a_destroyed_endpoint_can_still_be_told_of(log: EventLog) -> None:
    endpoint = uuid4()
    gone = await log.append(EndpointDestroyedEvent(endpoint_id=endpoint), expected=START)
    await log.append(ratio(endpoint), expected=gone.entry_ids[0])
    assert await lengths(log) == [2]
