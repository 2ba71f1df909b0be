from contextlib import aclosing
from functools import partial
from uuid import UUID, uuid4

import anyio

from consumers.processes.embedded import EmbeddedServer
from events import END, START, EntryId, EventLog, RouteTrafficRatioUpdatedEvent, open_log
from events.log.keys import partition_of
from tests.support.waiting import wait_until


def ratio(endpoint_id: UUID | None = None) -> RouteTrafficRatioUpdatedEvent:
    return RouteTrafficRatioUpdatedEvent(
        endpoint_id=endpoint_id or uuid4(), route_id=uuid4(), traffic_ratio=0.5
    )


async def append(log: EventLog, count: int) -> list[EntryId]:
    return [(await log.append(ratio())).entry_ids[0] for _ in range(count)]


async def first(log: EventLog, count: int, cursor: EntryId | dict[int, EntryId]) -> list[EntryId]:
    """Return the ids of the first events that a follower from *cursor* gets."""
    got: list[EntryId] = []
    with anyio.fail_after(20):
        async with aclosing(log.follow(cursor)) as events:
            async for recorded in events:
                got.append(recorded.entry_id)
                if len(got) == count:
                    break
    return got


async def test_a_follower_gets_what_lies_behind_its_cursor_and_what_comes(log: EventLog) -> None:
    ids = await append(log, 5)
    assert await first(log, 5, START) == ids
    assert await first(log, 2, ids[2]) == ids[3:]
    assert await first(log, 1, {0: ids[3]}) == ids[4:]


async def test_a_follower_from_the_end_gets_only_what_is_appended_from_now_on(
    log: EventLog,
) -> None:
    await append(log, 3)
    got: list[EntryId] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, log, END, got)
        await wait_until(lambda: blocked_clients(log), "the follower waits")
        ids = await append(log, 3)
        await wait_until(partial(has, got, 3), "the follower has all three")
        tasks.cancel_scope.cancel()
    assert got == ids


async def follow(log: EventLog, cursor: EntryId, got: list[EntryId]) -> None:
    async for recorded in log.follow(cursor):
        got.append(recorded.entry_id)  # noqa: PERF401 - it never ends


def has(got: list[EntryId], count: int) -> bool:
    return len(got) == count


async def blocked_clients(log: EventLog) -> bool:
    clients = await log.server.client.execute_command("CLIENT LIST")
    return any(client["cmd"] == "xread" and "b" in client["flags"] for client in clients)


async def test_every_follower_gets_every_event(log: EventLog) -> None:
    ids = await append(log, 4)
    assert [await first(log, 4, START) for _ in range(3)] == [ids] * 3


async def test_several_partitions_are_followed_from_a_cursor_of_each(
    redis_url: str, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=3) as log:
        ids: dict[int, list[EntryId]] = {0: [], 1: [], 2: []}
        while min(map(len, ids.values())) < 3:
            event = ratio()
            partition = partition_of(event.endpoint_id, 3)
            ids[partition] += (await log.append(event)).entry_ids
        cursor = {partition: own[0] for partition, own in ids.items()}
        wanted = sorted(one for own in ids.values() for one in own[1:])
        assert sorted(await first(log, len(wanted), cursor)) == wanted


async def test_a_follower_goes_on_where_it_was_when_the_server_comes_back(
    own_log: EventLog, own_server: EmbeddedServer
) -> None:
    got: list[EntryId] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, own_log, START, got)
        ids = await append(own_log, 3)
        await wait_until(partial(has, got, 3), "the follower has the first three")
        for wanted in (6, 9):
            own_server.kill()
            own_server.start()
            ids += await append(own_log, 3)
            await wait_until(partial(has, got, wanted), "the follower caught up")
        tasks.cancel_scope.cancel()
    assert got == ids


async def test_what_cannot_be_read_does_not_stop_a_follower(log: EventLog) -> None:
    call = log.server.client.execute_command
    await call("XADD", log.keys.events(0), "*", "name", "route_created", "payload", "[" * 100_000)
    ids = await append(log, 1)
    assert await first(log, 1, START) == ids


async def test_a_follower_of_a_trimmed_log_goes_on_with_what_is_left(log: EventLog) -> None:
    ids = await append(log, 5)
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(ids[3]))
    assert await first(log, 2, ids[0]) == ids[3:]
