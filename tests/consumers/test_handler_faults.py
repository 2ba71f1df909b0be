"""The server of a handler group loses replies, stands still, restarts, forgets; exact counts."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import anyio
import pytest
from msgspec.structs import replace

from consumers.processes.embedded import EmbeddedServer
from consumers.runtime.outcome import RetryPolicy
from events.entry.entry_id import END, EntryId
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog, open_log
from tests.consumers.support.handler_group import (
    LASTING,
    PROMPT,
    append,
    call_of_end,
    handler_consumer_of,
    handling_with,
    owner,
    steps,
    tries,
    until_owned,
)
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    Handling,
    created,
    dead_letters,
    pending,
    until_dead,
    until_settled,
)
from tests.support.script_calls import call_of
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import wait_until


@pytest.fixture
async def proxy(own_server: EmbeddedServer) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(own_server.port) as opened:
        yield opened


@pytest.fixture
async def direct(own_server: EmbeddedServer, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(own_server.url, namespace=namespace) as opened:
        yield opened


@pytest.fixture
async def through(proxy: TcpProxy, direct: EventLog) -> AsyncIterator[EventLog]:
    """The log as the consumer sees it."""
    async with open_log(proxy.url, namespace=direct.keys.namespace) as opened:
        yield opened


@pytest.mark.parametrize(
    "step",
    [
        *(call_of("consumers.handlers", one) for one in ("take_lease", "owned_pending")),
        *(call_of("consumers.handlers", one) for one in ("owned_read", "owned_hands")),
        *(call_of("consumers.handlers", "owned_round"), call_of_end("first")),
    ],
    ids=["takes the lease", "takes over", "reads", "takes into hand", "tries", "ends"],
)
async def test_a_lost_reply_loses_and_repeats_nothing_and_keeps_the_order(
    proxy: TcpProxy, direct: EventLog, through: EventLog, step: bytes
) -> None:
    endpoint_id, handling = uuid4(), Handling()
    before = await append(direct, *steps(endpoint_id, 3))
    proxy.lose_next_reply_to(step)
    async with handling_with(handler_consumer_of(through, handling)):
        await handling.until_handled(*before)
        proxy.lose_next_reply_to(step)
        after = await append(direct, *steps(endpoint_id, 3))
        await handling.until_handled(*after)
        await until_settled(direct)

    assert proxy.lost >= 1
    assert handling.handled == [*before, *after]
    assert set(handling.calls.values()) == {1}
    assert await tries(direct) == {}


async def test_a_lost_reply_to_a_renewal_changes_nothing(
    proxy: TcpProxy, direct: EventLog, through: EventLog
) -> None:
    handling = Handling()
    async with handling_with(handler_consumer_of(through, handling, settings=PROMPT)):
        await until_owned(direct, "first")
        fence = await direct.server.client.execute_command("GET", direct.keys.fence(0, GROUP))
        proxy.lose_next_reply_to(call_of("consumers.handlers", "renew_lease"))
        await wait_until(lambda: proxy.lost == 1, "the reply is lost")
        ids = await append(direct, created(), created())
        await handling.until_handled(*ids)
        assert (
            await direct.server.client.execute_command("GET", direct.keys.fence(0, GROUP)) == fence
        )
    assert set(handling.calls.values()) == {1}


async def test_a_lost_reply_to_a_dead_letter_makes_no_second_one(
    proxy: TcpProxy, direct: EventLog, through: EventLog
) -> None:
    handling = Handling()
    [bad] = await append(direct, created())
    handling.failures[bad] = OSError("not reachable")
    proxy.lose_next_reply_to(call_of("consumers.handlers", "owned_dead_letter"))
    async with handling_with(handler_consumer_of(through, handling)):
        await until_dead(direct, 1)
        good = await append(direct, created())
        await handling.until_handled(*good)
        await until_settled(direct)

    assert proxy.lost == 1
    assert len(await dead_letters(direct)) == 1
    assert handling.calls[bad] == 3


async def test_a_try_goes_on_while_the_server_is_away_and_its_end_is_told_later(
    own_server: EmbeddedServer, direct: EventLog
) -> None:
    first, second = await append(direct, *steps(uuid4(), 2))
    handling, go_on = Handling(), anyio.Event()

    async def hang(_: RecordedEvent) -> None:
        await go_on.wait()

    handling.before = hang
    async with handling_with(handler_consumer_of(direct, handling)):
        await wait_until(lambda: handling.calls[first] == 1, "the first try")
        own_server.kill()
        go_on.set()
        await handling.until_handled(first)
        own_server.start()
        await handling.until_handled(second)
        await until_settled(direct)

    assert handling.calls == {first: 1, second: 1}


async def test_who_cannot_renew_its_lease_ends_its_tries_in_time(
    own_server: EmbeddedServer, direct: EventLog
) -> None:
    [entry_id] = await append(direct, created())
    handling = Handling()
    cancelled: list[EntryId] = []

    async def hang_once(recorded: RecordedEvent) -> None:
        if handling.calls[recorded.entry_id] > 1:
            return
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(recorded.entry_id)

    handling.before = hang_once
    with captured_lines() as logs:
        async with handling_with(handler_consumer_of(direct, handling, settings=PROMPT)):
            await wait_until(lambda: bool(handling.calls), "the first try")
            own_server.pause()
            await wait_until(lambda: cancelled == [entry_id], "the try is cancelled")
            assert handling.handled == []
            own_server.resume()
            await until_settled(direct)

    assert handling.calls == {entry_id: 2}
    assert any(one["event"] == "lease_lost" for one in logs)


async def test_a_handler_that_meets_anothers_cancellation_has_failed(direct: EventLog) -> None:
    bad, good = await append(direct, *steps(uuid4(), 2))
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    handling = Handling()

    async def meet(recorded: RecordedEvent) -> None:
        if recorded.entry_id == bad:
            await cancelled

    handling.before = meet
    async with handling_with(handler_consumer_of(direct, handling)):
        [dead] = await until_dead(direct, 1)
        await handling.until_handled(good)

    assert (dead.original.entry_id, dead.reason) == (bad, "failed 3 times")
    assert "cancellation from elsewhere" in dead.error


async def test_a_server_that_forgot_everything_is_gone_on_with(
    own_server: EmbeddedServer, direct: EventLog
) -> None:
    handling = Handling()
    async with handling_with(handler_consumer_of(direct, handling, settings=PROMPT)):
        before = await append(direct, created(), created())
        await handling.until_handled(*before)
        await until_settled(direct)
        await direct.server.client.call("FLUSHALL")
        await until_owned(direct, "first")
        after = await append(direct, created(), created())
        await handling.until_handled(*after)
    assert set(handling.calls.values()) == {1}
    assert own_server.port


async def test_a_group_that_begins_at_the_end_misses_nothing_after_a_flush(
    direct: EventLog,
) -> None:
    handling = Handling()
    consumer = handler_consumer_of(direct, handling, settings=PROMPT, start=END)
    async with handling_with(consumer):
        await until_owned(direct, "first")
        before = await append(direct, created())
        await handling.until_handled(*before)
        await until_settled(direct)
        stream = direct.keys.events(0)
        [(_, fields)] = await direct.server.client.execute_command("XRANGE", stream, "-", "+")
        async with (await direct.server.at(direct.keys.events(0))).pipeline(
            transaction=True
        ) as step:
            # The group cannot be there again before this entry is.
            step.execute_command("FLUSHALL")
            step.execute_command("XADD", stream, "*", *fields)
            _, after = await step.execute()
        await handling.until_handled(EntryId.parse(after))
    assert set(handling.calls.values()) == {1}


@pytest.mark.parametrize("fault", ["DEL", "SCRIPT FLUSH", "XGROUP DESTROY", "a fence of another"])
async def test_what_is_taken_away_is_made_again(direct: EventLog, fault: str) -> None:
    handling = Handling()
    client, stream = direct.server.client, direct.keys.events(0)
    async with handling_with(handler_consumer_of(direct, handling, settings=PROMPT)):
        before = await append(direct, created(), created())
        await handling.until_handled(*before)
        await until_settled(direct)
        match fault:
            case "DEL":
                await client.call("DEL", stream)
            case "XGROUP DESTROY":
                await client.call("XGROUP", "DESTROY", stream, GROUP)
            case "SCRIPT FLUSH":
                await client.call("SCRIPT FLUSH")
            case _:
                await client.call("SET", direct.keys.fence(0, GROUP), "7 another#1")
        after = await append(direct, created(), created())
        await handling.until_handled(*after)
    assert sorted(handling.handled) == [*before, *after]
    assert await owner(direct) == ""


async def give_away(log: EventLog) -> None:
    """Let another own the partition, who does nothing."""
    await log.server.client.call("SET", log.keys.lease(0, GROUP), "2 another#1", "PX", 3_600_000)
    await log.server.client.call("SET", log.keys.fence(0, GROUP), "2 another#1")


async def until_waiting(log: EventLog) -> None:
    async def waits() -> bool:
        clients = await log.server.client.execute_command("CLIENT LIST")
        return any(one["name"].endswith(f":{GROUP}:first") for one in clients)

    await wait_until(waits, "it waits for the lease again")


async def test_an_owner_that_was_fenced_reads_nothing(direct: EventLog) -> None:
    handling = Handling()
    slow = replace(LASTING, lease_ms=3_600_000)
    async with handling_with(handler_consumer_of(direct, handling, settings=slow)):
        await until_owned(direct, "first")
        [before] = await append(direct, created())
        await handling.until_handled(before)
        await until_settled(direct)
        await give_away(direct)
        await append(direct, created())
        await until_waiting(direct)
        assert await pending(direct) == {}
    assert handling.handled == [before]


async def test_an_owner_that_was_fenced_begins_no_further_try(direct: EventLog) -> None:
    [entry_id] = await append(direct, created())
    handling = Handling()
    handling.failures[entry_id] = OSError("not reachable")
    # Neither a renewal nor a read tells it before its next try.
    settings = replace(
        LASTING, lease_ms=3_600_000, block_ms=60_000, policy=RetryPolicy(3, 0.5, 0.5)
    )
    async with handling_with(handler_consumer_of(direct, handling, settings=settings)):

        async def noted() -> bool:
            return await tries(direct) == {entry_id: (1, 1)}

        await wait_until(noted, "its failure is counted")
        await give_away(direct)
        await until_waiting(direct)
        assert handling.calls == {entry_id: 1}
        assert await tries(direct) == {entry_id: (1, 1)}


async def test_an_owner_that_was_fenced_ends_nothing_and_begins_nothing(direct: EventLog) -> None:
    first, *later = await append(direct, *steps(uuid4(), 3))
    handling, go_on = Handling(), anyio.Event()

    async def hang(_: RecordedEvent) -> None:
        await go_on.wait()

    handling.before = hang
    client, keys = direct.server.client, direct.keys
    # So long until it notices by itself.
    slow = replace(LASTING, lease_ms=3_600_000)
    async with handling_with(handler_consumer_of(direct, handling, settings=slow)):
        await wait_until(lambda: handling.calls[first] == 1, "the first try")
        await give_away(direct)
        go_on.set()
        await handling.until_handled(first)
        await until_waiting(direct)
        assert list(await pending(direct)) == [first, *later]
        assert handling.calls == {first: 1}
        await client.call("DEL", keys.lease(0, GROUP))
        await client.call("XADD", keys.handover(0, GROUP), "*", "from", "a test")
        await until_settled(direct)
    assert handling.handled == [first, first, *later]
