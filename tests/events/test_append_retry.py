from collections.abc import AsyncIterator, Iterator
from uuid import UUID, uuid4

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer
from events import (
    FSYNC,
    START,
    EndpointDestroyedEvent,
    EventLog,
    RouteTrafficRatioUpdatedEvent,
    open_log,
)
from events.errors import (
    ConflictError,
    NotDurableError,
    ServerUnavailableError,
    UncertainAppendError,
)
from events.server.settings import ServerSettings
from tests.support.tcp_proxy import TcpProxy

APPEND = b"EVALSHA"


@pytest.fixture
async def far_log(proxy: TcpProxy, log: EventLog) -> AsyncIterator[EventLog]:
    """The log of the test, seen through the proxy; its script is known to the server."""
    await log.append(EndpointDestroyedEvent(endpoint_id=uuid4()))
    settings = ServerSettings(url=proxy.url, timeout_s=0.4)
    async with open_log(settings, namespace=log.keys.namespace, source="far") as opened:
        yield opened


async def length(log: EventLog) -> int:
    return int(await log.server.client.execute_command("XLEN", log.keys.events(0)))


def ratio(endpoint_id: UUID, traffic_ratio: float) -> RouteTrafficRatioUpdatedEvent:
    return RouteTrafficRatioUpdatedEvent(
        endpoint_id=endpoint_id, route_id=uuid4(), traffic_ratio=traffic_ratio
    )


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("lost", [1, 2, 5])
async def test_a_lost_reply_never_makes_two_entries(
    log: EventLog, far_log: EventLog, proxy: TcpProxy, lost: int, count: int
) -> None:
    before = await length(log)
    for _ in range(lost):
        proxy.lose_next_reply_to(APPEND)
    endpoint = uuid4()
    events = [ratio(endpoint, number / 10) for number in range(count)]
    appended = await far_log.append(*events)
    assert proxy.lost == lost
    recorded = [one async for one in log.read() if one.endpoint_id == endpoint]
    assert [one.event for one in recorded] == events
    assert [one.entry_id for one in recorded] == list(appended.entry_ids)
    assert await length(log) == before + count


async def test_a_lost_reply_to_an_append_at_a_version_is_no_conflict(
    log: EventLog, far_log: EventLog, proxy: TcpProxy
) -> None:
    endpoint = uuid4()
    proxy.lose_next_reply_to(APPEND)
    first = await far_log.append(ratio(endpoint, 0.1), expected=START)
    proxy.lose_next_reply_to(APPEND)
    await far_log.append(ratio(endpoint, 0.2), expected=first.entry_ids[0])
    assert await length(log) == 3


async def test_a_lost_reply_to_a_conflict_is_a_conflict(
    log: EventLog, far_log: EventLog, proxy: TcpProxy
) -> None:
    endpoint = uuid4()
    appended = await log.append(ratio(endpoint, 0.1))
    proxy.lose_next_reply_to(APPEND)
    with pytest.raises(ConflictError) as conflict:
        await far_log.append(ratio(endpoint, 0.2), expected=START)
    assert conflict.value.head == appended.entry_ids[0]
    assert await length(log) == 2


async def test_a_request_that_arrives_after_its_retry_makes_no_second_entry(
    log: EventLog, far_log: EventLog, proxy: TcpProxy
) -> None:
    endpoint = uuid4()
    late = proxy.hold_next(APPEND)
    appended = await far_log.append(ratio(endpoint, 0.5))
    assert late.arrived.is_set()
    assert not late.answered.is_set()
    await late.release()
    assert [one.entry_id async for one in log.read()][1:] == list(appended.entry_ids)


async def test_a_slow_network_makes_no_second_entry(
    log: EventLog, far_log: EventLog, proxy: TcpProxy
) -> None:
    proxy.delay_s = 0.25
    await far_log.append(ratio(uuid4(), 0.5))
    assert await length(log) == 2


async def test_no_answer_at_all_is_said_to_be_uncertain(
    log: EventLog, far_log: EventLog, proxy: TcpProxy
) -> None:
    proxy.silent = True
    with pytest.raises(UncertainAppendError, match=r"no reply to 6 tries to append event") as error:
        await far_log.append(ratio(uuid4(), 0.5))
    assert UUID(error.value.event_id).version == 7
    assert error.value.event_id.encode() in b"".join(proxy.requests)
    assert await length(log) == 1


async def test_an_uncertain_append_that_did_land_is_recognised_by_the_ids_it_names(
    log: EventLog, far_log: EventLog, proxy: TcpProxy
) -> None:
    for _ in range(6):
        proxy.lose_next_reply_to(APPEND)
    event = ratio(uuid4(), 0.5)
    with pytest.raises(UncertainAppendError) as error:
        await far_log.append(event)
    recorded = [one async for one in log.read()]
    assert len(recorded) == 2
    assert recorded[1].event_id == error.value.event_id
    again = await log.append(event, event_ids=error.value.event_ids)
    assert again.entry_ids == (recorded[1].entry_id,)
    assert await length(log) == 2


@pytest.mark.usefixtures("waitaof")
async def test_waiting_for_the_disk_after_a_lost_reply_makes_no_second_entry(
    log: EventLog, far_log: EventLog, proxy: TcpProxy
) -> None:
    proxy.lose_next_reply_to(APPEND)
    await far_log.append(ratio(uuid4(), 0.5), durability=FSYNC)
    assert await length(log) == 2


@pytest.mark.usefixtures("waitaof")
async def test_a_wait_for_the_disk_that_is_cut_off_says_that_the_event_is_in_the_log(
    log: EventLog, far_log: EventLog, proxy: TcpProxy
) -> None:
    proxy.lose_next_reply_to(b"WAITAOF")
    with pytest.raises(NotDurableError, match=r"appended as \d+-\d+, but how safely is not known"):
        await far_log.append(ratio(uuid4(), 0.5), durability=FSYNC)
    assert await length(log) == 2


async def test_a_server_that_is_never_reached_appended_nothing(
    own_server: EmbeddedServer, namespace: str
) -> None:
    async with open_log(own_server.url, namespace=namespace) as log:
        await log.append(ratio(uuid4(), 0.1))
        await (await log.server.at("")).connection_pool.disconnect()
        own_server.kill()
        with pytest.raises(ServerUnavailableError):
            await log.append(ratio(uuid4(), 0.5))
        own_server.start()
        assert await length(log) == 1


async def test_a_server_that_comes_back_in_time_has_the_event_once(
    own_server: EmbeddedServer, namespace: str
) -> None:
    async with open_log(own_server.url, namespace=namespace) as log:
        await log.append(ratio(uuid4(), 0.1))
        own_server.kill()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(log.append, ratio(uuid4(), 0.5))
            await anyio.to_thread.run_sync(own_server.start)
        assert await length(log) == 2


@pytest.fixture
def standing_still(own_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    yield own_server
    own_server.resume()


async def test_a_server_that_stood_still_carries_out_one_of_the_tries(
    standing_still: EmbeddedServer, namespace: str
) -> None:
    settings = ServerSettings(url=standing_still.url, timeout_s=0.3)
    async with open_log(settings, namespace=namespace) as log:
        await log.append(ratio(uuid4(), 0.1))
        standing_still.pause()
        with pytest.raises(UncertainAppendError):
            await log.append(ratio(uuid4(), 0.5))
        standing_still.resume()
        # What is asked now is answered after all that the server still has to read.
        assert await length(log) == 2


async def test_a_server_that_refuses_every_try_appended_nothing_and_that_is_certain(
    own_server: EmbeddedServer, namespace: str
) -> None:
    async with open_log(own_server.url, namespace=namespace) as log:
        await log.append(ratio(uuid4(), 0.1))
        await log.server.client.call("CONFIG SET", "maxmemory", "1")
        with pytest.raises(ServerUnavailableError, match="maxmemory"):
            await log.append(ratio(uuid4(), 0.5))
        assert await length(log) == 1
