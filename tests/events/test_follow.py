from contextlib import aclosing
from functools import partial
from uuid import uuid4

import anyio

from consumers.processes.embedded import EmbeddedServer
from events import END, START, EntryId, EventLog
from tests.events.support.any_log import ratio
from tests.support.waiting import wait_until


async def append(log: EventLog, count: int) -> list[EntryId]:
    return [(await log.append(ratio(uuid4()))).entry_ids[0] for _ in range(count)]


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


async def test_a_follower_of_a_trimmed_log_goes_on_with_what_is_left(log: EventLog) -> None:
    ids = await append(log, 5)
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(ids[3]))
    got: list[EntryId] = []
    async with aclosing(log.follow(ids[0])) as events:
        async for recorded in events:
            got.append(recorded.entry_id)
            if len(got) == 2:
                break
    assert got == ids[3:]
