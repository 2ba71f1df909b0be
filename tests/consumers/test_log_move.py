"""A log that moves takes its read models and its groups along, whatever happens meanwhile."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import anyio
import pytest
from anyio.to_thread import run_sync

from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.handlers.handler_settings import HandlerSettings
from consumers.handlers.handler_work import HandlerWork
from consumers.move.group_transfer import GroupTransfer
from consumers.move.log_move import LogMove
from consumers.processes.moved_log import LogMoves, run_where_it_is
from events import START, EventLog, RecordedEvent, RouteTrafficRatioUpdatedEvent, open_log
from events.history.history import History
from events.log.keys import partition_of
from events.log.layout import LogPlace
from events.move import open_target
from projections.health_state.probe_times import read_probe_times
from projections.read_model.reader import ReaderSettings, open_reader
from projections.read_model.store import ReadModelStore
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.group_process import Processes
from tests.support.running_consumer import GROUP, created, fill
from tests.support.waiting import wait_until

QUIET = HandlerSettings(block_ms=100, lease_ms=500)


async def move(source: EventLog, namespace: str, partitions: int) -> EventLog:
    history = History(source)
    target = await open_target(history, source.server, namespace, partitions, create=True)
    place = LogPlace(namespace)
    await LogMove(history, target, place, lambda _count, _at: None, lambda _: None).run()
    moved = await source.find_successor()
    assert moved is not None
    return moved


async def event_ids(log: EventLog) -> Counter[str]:
    return Counter(
        [
            entry.fields[b"id"].decode()
            for partition in range(log.partitions)
            async for entries in log.read_entries(partition)
            for entry in entries
        ]
    )


@asynccontextmanager
async def producing(url: str, namespace: str) -> AsyncIterator[dict[UUID, list[str]]]:
    """Append beside the block, one event after the other; yield what was acknowledged."""
    acknowledged: dict[UUID, list[str]] = {}
    stop = anyio.Event()

    async def produce(endpoint: UUID) -> None:
        async with open_log(url, namespace=namespace) as log:
            while not stop.is_set():
                event_id = uuid4()
                await log.append(ratio(endpoint), event_ids=[event_id])
                acknowledged.setdefault(endpoint, []).append(str(event_id))
                await anyio.sleep(0.002)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(produce, uuid4())
        await wait_until(lambda: len(acknowledged) == 3, "the producers have begun", 60)
        yield acknowledged
        stop.set()


def ratio(endpoint: UUID) -> RouteTrafficRatioUpdatedEvent:
    return RouteTrafficRatioUpdatedEvent(endpoint_id=endpoint, route_id=endpoint, traffic_ratio=1.0)


async def assert_all_there(log: EventLog, acknowledged: dict[UUID, list[str]]) -> None:
    """Check that each acknowledged event is there once, and those of an endpoint in their order."""
    found: dict[UUID, list[str]] = {}
    async for recorded in log.read():
        if recorded.endpoint_id in acknowledged:
            found.setdefault(recorded.endpoint_id, []).append(recorded.event_id)
    assert found == acknowledged


async def test_a_move_takes_entries_documents_names_and_probes_along(
    redis_url: str, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=2) as source:
        endpoints = await fill(source, 12)
        call = source.server.client.call
        await call("HSET", source.keys.names, "chat", f"{endpoints[0]} 1")
        await call("ZADD", source.keys.probed(0), 1_700_000_000_123, f"{endpoints[0]}:{uuid4()}")
        await call("ZADD", source.keys.probed(1), 7, f"{endpoints[0]}:{endpoints[1]}")
        async with producing(redis_url, namespace) as acknowledged:
            target = await move(source, f"{namespace}-b", 5)
            before = sum(map(len, acknowledged.values()))
            await wait_until(
                lambda: sum(map(len, acknowledged.values())) > before + 10, "producers went on", 60
            )
        await assert_all_there(target, acknowledged)
        assert await event_ids(source) <= await event_ids(target)
        assert await call("HGET", target.keys.names, "chat") == f"{endpoints[0]} 1".encode()
        where = partition_of(endpoints[0], 5)
        assert endpoints[0] in await documents_of(target, where)
        key = (endpoints[0], endpoints[1])
        assert await read_probe_times(call, target.keys, where, [key]) == {key: 7}
        assert await call("EXISTS", source.keys.moving) == 0


async def documents_of(log: EventLog, partition: int) -> set[UUID]:
    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, partition)
    live = await store.live_generation()
    assert live is not None
    return {state.endpoint_id async for _, state in store.load_all(live)}


async def test_a_group_handles_what_is_left_in_order_and_nothing_again(
    redis_url: str, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=3) as source:
        await fill(source, 15)
        call, handled = source.server.client.call, list[str]()
        for partition, (given, ended) in enumerate(((10, 4), (0, 0), (17, 17))):
            stream = source.keys.events(partition)
            await call("XGROUP", "CREATE", stream, GROUP, str(START))
            if given:
                raw = await source.server.client.execute_command(
                    *("XREADGROUP", "GROUP", GROUP, "x", "COUNT", given, "STREAMS", stream, ">")
                )
                for entry_id, fields in raw[0][1][:ended]:
                    await call("XACK", stream, GROUP, entry_id)
                    handled.append(fields[fields.index(b"id") + 1].decode())
        target = await move(source, f"{namespace}-b", 2)
        seen: list[RecordedEvent] = []

        async def handle(recorded: RecordedEvent) -> None:
            seen.append(recorded)

        work = HandlerWork.of(handle, None, START)
        members = [HandlerConsumer(target, p, (GROUP, "one"), work, QUIET) for p in range(2)]
        async with anyio.create_task_group() as tasks:
            for member in members:
                tasks.start_soon(member.run)
            await wait_until(
                lambda: len(seen) >= 90 - len(handled), "all that was left is handled", 60
            )
            for member in members:
                await member.stop()
        assert Counter(one.event_id for one in seen) + Counter(handled) == await event_ids(target)
        for endpoint in {one.endpoint_id for one in seen}:
            own = [one.entry_id for one in seen if one.endpoint_id == endpoint]
            assert own == sorted(own)
        assert await GroupTransfer(source, target).names() == [GROUP]


@pytest.mark.timeout(300)
async def test_a_move_waits_for_an_owner_that_comes_after_another_one(
    redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.move.log_move.LOOK_FOR_MOVE_S", 5.0)
    async with open_log(redis_url, namespace=namespace) as source:
        await source.append(created())
        call, lease = source.server.client.call, source.keys.lease(0, GROUP)
        await call("XGROUP", "CREATE", source.keys.events(0), GROUP, str(START))

        async def own_later() -> None:
            async def is_announced() -> bool:
                return bool(await call("EXISTS", source.keys.moving))

            await wait_until(is_announced, "the move is announced")
            await anyio.sleep(0.2)  # between two owners
            await call("SET", lease, "1 another#1", "PX", 6_000)
            assert not await call("EXISTS", source.keys.seal(0))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(own_later)
            await move(source, f"{namespace}-b", 2)
            assert not await call("EXISTS", lease)


async def test_a_move_that_is_killed_in_any_step_goes_on_when_it_is_run_again(
    redis_url: str, namespace: str
) -> None:
    """It is killed while it copies, while the log is sealed, and then it ends."""
    async with open_log(redis_url, namespace=namespace, partitions=3) as source:
        for _ in range(4):
            await source.append(*(created() for _ in range(500)))
        call = source.server.client.call
        copied = f"{{{namespace}-b:0}}:events"

        async def copies() -> bool:
            return int(str(await call("XLEN", copied))) > 0

        async def seals() -> bool:
            return bool(await call("EXISTS", source.keys.seal(0)))

        async with producing(redis_url, namespace) as acknowledged:
            for step in (copies, seals):
                await kill_move_when(step, start_move(redis_url, namespace))
            # On a busy machine the last one may have ended sooner than it was killed.
            if await source.find_successor() is None:
                process = start_move(redis_url, namespace)
                assert await run_sync(process.wait) == 0
            moved = await source.find_successor()
            assert moved is not None
        assert moved.partitions == 4
        await assert_all_there(moved, acknowledged)
        assert max((await event_ids(moved)).values()) == 1
        assert (await event_ids(moved)).total() == 2_000 + sum(map(len, acknowledged.values()))


async def kill_move_when(
    step: Callable[[], Awaitable[bool]], process: "subprocess.Popen[bytes]"
) -> None:
    """Kill it as soon as *step* holds, or let it have ended by itself, with success."""

    async def is_there() -> bool:
        return process.poll() is not None or await step()

    try:
        await wait_until(is_there, getattr(step, "__name__", ""), 60)
    finally:
        process.kill()
        assert await run_sync(process.wait) in {0, -signal.SIGKILL}


def start_move(url: str, namespace: str) -> "subprocess.Popen[bytes]":
    words = ("log", "repartition", "--partitions", "4", "--into", f"{namespace}-b", "--yes")
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "consumers", *words],
        env={**os.environ, "REDIS_URL": url, "ROUTESTREAM_NAMESPACE": namespace},
        stderr=subprocess.DEVNULL,
    )


async def test_processes_and_readers_go_on_at_the_new_place(redis_url: str, namespace: str) -> None:
    async with (
        open_log(redis_url, namespace=namespace) as source,
        AsyncExitStack() as stack,
    ):
        await source.append(created())
        process = await Processes(source, redis_url, stack).start("route-table", "one")
        async with open_reader(
            redis_url, ReaderSettings(block_ms=50), namespace=namespace
        ) as reader:
            await move(source, f"{namespace}-b", 3)
            event = created()
            await source.append(event)
            await wait_until(
                lambda: reader.endpoint(event.endpoint_id) is not None, "it is in the table", 60
            )
            assert len(reader.generations) == 3
        assert await process.stop() == 0


async def test_a_handler_process_pauses_while_the_log_is_about_to_move(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.processes.moved_log.LOOK_FOR_MOVE_S", 0.01)
    runs: list[EventLog] = []

    async def run(place: EventLog) -> EventLog | None:
        runs.append(place)
        moves = LogMoves(place, pauses=True)
        if len(runs) == 1:
            await place.server.client.call("SET", place.keys.moving, "x", "PX", 60_000)
            await moves.wait()
            await place.server.client.call("DEL", place.keys.moving)
        elif len(runs) == 2:
            await move(log, f"{log.keys.namespace}-b", 2)
            await moves.wait()
        else:
            moves.is_over = True
        return await moves.next_log()

    await run_where_it_is(log, run)
    assert [one.partitions for one in runs] == [1, 1, 2]
