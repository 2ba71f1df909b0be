"""The group, the stream and the server are taken away from consumers that run."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer
from consumers.runtime.consumer import Consumer
from consumers.runtime.projector import Projector
from events.entry.recorded import RecordedEvent
from events.errors import ServerUnavailableError
from events.log.accepted_loss import accept_loss
from events.log.log import EventLog
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    QUICK,
    Handling,
    consumer_of,
    consuming,
    created,
    fill,
    folded_in_order,
    members,
    states,
    until_settled,
)
from tests.support.waiting import wait_until

NAME = ROUTE_TABLE.name


def projecting(log: EventLog, name: str = "first") -> Consumer:
    projector = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
    return consumer_of(log, projector, group=NAME, name=name)


async def until_in_step(log: EventLog) -> None:
    async def in_step() -> bool:
        return await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)

    await wait_until(in_step, "the read model is what the log says")


async def destroy_group(log: EventLog) -> None:
    await log.server.client.call("XGROUP", "DESTROY", log.keys.events(0), NAME)


async def delete_stream(log: EventLog) -> None:
    await log.server.client.call("DEL", log.keys.events(0))


async def rename_stream(log: EventLog) -> None:
    await log.server.client.call("RENAME", log.keys.events(0), f"{log.keys.events(0)}:aside")


async def flush(log: EventLog) -> None:
    await log.server.client.call("FLUSHALL")


LOSSES = [destroy_group, delete_stream, rename_stream, flush]


async def accept(log: EventLog) -> None:
    """Go on without the history that is gone, as `routestream log accept-loss` does."""
    await accept_loss(log.server.client, log.keys, log.layout)


@pytest.mark.parametrize("lose", LOSSES)
async def test_consuming_goes_on_when_something_is_taken_away_while_it_waits(
    own_log: EventLog, lose: Callable[[EventLog], Awaitable[None]]
) -> None:
    with captured_lines() as logs:
        async with consuming(projecting(own_log)):
            await fill(own_log, 5)
            await until_settled(own_log, NAME)
            kept = await states(own_log, ROUTE_TABLE) if lose is not flush else {}

            await lose(own_log)
            await fill(own_log, 5)
            if lose is not destroy_group:
                await until_said(logs, "history_missing", 1)
                await accept(own_log)
            await until_settled(own_log, NAME)
            found = await states(own_log, ROUTE_TABLE)

    assert found == kept | await folded_in_order(own_log, ROUTE_TABLE)
    lost = [one for one in logs if one["event"] == "group_lost"]
    assert 1 <= len(lost) <= 3
    assert {one["log_level"] for one in lost} == {"error"}


@pytest.mark.parametrize("lose", LOSSES)
async def test_nothing_in_the_log_is_left_out_when_something_is_taken_away_under_load(
    own_log: EventLog, lose: Callable[[EventLog], Awaitable[None]]
) -> None:
    done = anyio.Event()

    async def load() -> None:
        while not done.is_set():
            await fill(own_log, 3)

    async with consuming(projecting(own_log, "first"), projecting(own_log, "second")):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load)
            for _ in range(3):
                await fill(own_log, 20)
                await lose(own_log)
                await fill(own_log, 20)
            done.set()
        if lose is not destroy_group:
            await accept(own_log)
        await until_settled(own_log, NAME)

    found = await states(own_log, ROUTE_TABLE)
    async for recorded in own_log.read():
        state = found[recorded.endpoint_id]
        assert ROUTE_TABLE.evolve(state, recorded) is state


async def test_a_group_that_was_set_back_is_given_all_again_and_nothing_changes(
    log: EventLog,
) -> None:
    async with consuming(projecting(log)):
        await fill(log, 5)
        await until_settled(log, NAME)
        before = await states(log, ROUTE_TABLE)
        await log.server.client.call("XGROUP", "SETID", log.keys.events(0), NAME, "0-0")
        await fill(log, 1)
        await until_settled(log, NAME)

    after = await states(log, ROUTE_TABLE)
    assert {one: after[one] for one in before} == before
    assert after == await folded_in_order(log, ROUTE_TABLE)


async def test_consuming_goes_on_over_restarts_of_the_server(
    own_server: EmbeddedServer, own_log: EventLog
) -> None:
    with captured_lines() as logs:
        async with consuming(projecting(own_log, "first"), projecting(own_log, "second")):
            for _ in range(3):
                await fill(own_log, 10)
                own_server.kill()
                own_server.start()
            await until_server_answers(own_log)
            await fill(own_log, 10)
            await until_settled(own_log, NAME)

    assert await states(own_log, ROUTE_TABLE) == await folded_in_order(own_log, ROUTE_TABLE)
    assert len(await states(own_log, ROUTE_TABLE)) == 40
    assert len([one for one in logs if one["event"] == "entry_dead"]) == 0


async def until_server_answers(log: EventLog) -> None:
    async def answers() -> bool:
        try:
            await log.head(0)
        except ServerUnavailableError:
            return False
        return True

    await wait_until(answers, "the server answers")


async def test_an_entry_is_not_given_up_for_connections_that_were_lost(
    own_server: EmbeddedServer, own_log: EventLog
) -> None:
    handling = Handling()
    reached, go_on = anyio.Event(), anyio.Event()

    async def wait(_recorded: RecordedEvent) -> None:
        reached.set()
        await go_on.wait()

    handling.before = wait
    [entry_id] = (await own_log.append(created())).entry_ids
    with captured_lines() as logs:
        async with consuming(consumer_of(own_log, handling)):
            for lost in range(1, QUICK.policy.tries_max + 3):
                with anyio.fail_after(10):
                    await reached.wait()
                reached = anyio.Event()
                own_server.kill()
                go_on.set()
                go_on = anyio.Event()
                await until_said(logs, "server_unavailable", lost)
                own_server.start()
            with anyio.fail_after(10):
                await reached.wait()
            go_on.set()
            await until_settled(own_log)

    assert set(handling.handled) == {entry_id}
    assert [one for one in logs if one["event"] == "entry_dead"] == []


async def until_said(logs: Sequence[Mapping[str, Any]], event: str, times: int) -> None:
    async def said() -> bool:
        return len([one for one in logs if one["event"] == event]) >= times

    await wait_until(said, f"{event} was logged {times} times", timeout_s=10.0)


async def test_while_the_server_is_away_the_consumer_tries_seldom(
    own_server: EmbeddedServer, own_log: EventLog
) -> None:
    with captured_lines() as logs:
        async with consuming(projecting(own_log)):
            await fill(own_log, 1)
            await until_settled(own_log, NAME)
            own_server.kill()
            await until_said(logs, "server_unavailable", 4)
            own_server.start()
            await until_server_answers(own_log)
            await fill(own_log, 1)
            await until_settled(own_log, NAME)

    failures = [one["failures"] for one in logs if one["event"] == "server_unavailable"]
    assert failures == list(range(1, len(failures) + 1))


async def test_a_server_that_stands_still_is_waited_for(
    own_server: EmbeddedServer, own_log: EventLog
) -> None:
    async with consuming(projecting(own_log)):
        await fill(own_log, 5)
        own_server.pause()
        try:
            with anyio.move_on_after(0.3):
                await fill(own_log, 5)
        finally:
            own_server.resume()
        await fill(own_log, 5)
        await until_settled(own_log, NAME)

    assert await states(own_log, ROUTE_TABLE) == await folded_in_order(own_log, ROUTE_TABLE)


async def test_a_server_without_memory_is_waited_for(own_log: EventLog) -> None:
    client = own_log.server.client
    with captured_lines() as logs:
        async with consuming(projecting(own_log)):
            await fill(own_log, 5)
            await until_settled(own_log, NAME)
            await client.call("CONFIG", "SET", "maxmemory", "100mb")
            await fill(own_log, 5)
            await client.call("CONFIG", "SET", "maxmemory", "1")
            await until_said(logs, "server_unavailable", 4)
            await client.call("CONFIG", "SET", "maxmemory", "0")
            await fill(own_log, 5)
            await until_settled(own_log, NAME)

    assert await states(own_log, ROUTE_TABLE) == await folded_in_order(own_log, ROUTE_TABLE)
    assert [one for one in logs if one["event"] == "entry_dead"] == []


async def test_the_scripts_are_loaded_again_where_they_are_missing(own_log: EventLog) -> None:
    async with consuming(projecting(own_log)):
        await fill(own_log, 2)
        await until_settled(own_log, NAME)
        await own_log.server.client.call("SCRIPT FLUSH")
        await fill(own_log, 2)
        await until_settled(own_log, NAME)

    assert await states(own_log, ROUTE_TABLE) == await folded_in_order(own_log, ROUTE_TABLE)


async def test_one_that_is_withdrawn_while_it_is_interrupted_leaves_the_group(
    log: EventLog,
) -> None:
    consumer, stream = projecting(log), log.keys.events(0)
    call, aside = log.server.client.call, f"{log.keys.events(0)}:aside"
    with captured_lines() as logs:
        async with consuming(consumer):
            await fill(log, 1)
            await until_settled(log, NAME)
            await call("COPY", stream, aside)
            await call("SET", stream, "another program's")
            # By then it waits so long for its next attempt that it is withdrawn before that.
            await until_said(logs, "server_refused", 5)
            await call("RENAME", aside, stream)
            assert await members(log, NAME) == ["first"]
            await consumer.withdraw()

            async def has_left() -> bool:
                return await members(log, NAME) == []

            await wait_until(has_left, "it has left the group")
