"""The server did what it was asked and its answer gets lost, for what a consumer asks of it."""

from collections.abc import AsyncIterator

import pytest

from events.log.log import EventLog, open_log
from events.server.script import script_text
from events.server.settings import ServerSettings
from tests.support.running_consumer import (
    GROUP,
    UNCLAIMED,
    Handling,
    append,
    consumer_of,
    consuming,
    create_group,
    dead_letters,
    deliver,
    make_idle,
    members,
    pending,
    until_dead,
    until_settled,
)
from tests.support.script_calls import call_of
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until


@pytest.fixture
async def through(proxy: TcpProxy, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(proxy.url, namespace=namespace, source="test") as opened:
        yield opened


async def until_lost(proxy: TcpProxy, count: int) -> None:
    await wait_until(lambda: proxy.lost >= count, f"{count} replies are lost")


JOIN = call_of("consumers.runtime", "join")
END = call_of("consumers.runtime", "acknowledge")


@pytest.mark.parametrize(
    "command",
    [b"XREADGROUP", b"XPENDING", b"CLIENT", END, JOIN],
    ids=["read", "pending", "client", "acknowledge", "join"],
)
async def test_a_lost_reply_strands_nothing_and_repeats_nothing(
    log: EventLog, through: EventLog, proxy: TcpProxy, command: bytes
) -> None:
    handling = Handling()
    before = await append(log, 3)
    if command in {b"CLIENT", JOIN}:
        proxy.lose_next_reply_to(command)
    async with consuming(consumer_of(through, handling, settings=UNCLAIMED)):
        await handling.until_handled(*before)
        await until_settled(log)
        if proxy.lost == 0:
            proxy.lose_next_reply_to(command)
        after = await append(log, 3)
        await until_lost(proxy, 1)
        last = await append(log, 3)
        await handling.until_handled(*after, *last)
        await until_settled(log)

    assert proxy.lost == 1
    assert dict(handling.calls) == dict.fromkeys([*before, *after, *last], 1)
    assert await dead_letters(log) == []
    assert await members(log) == []


async def test_a_read_that_arrives_when_its_consumer_has_given_it_up_strands_nothing(
    log: EventLog, proxy: TcpProxy
) -> None:
    """What it takes is pending with a consumer that lives and does not know of it."""
    handling = Handling()
    impatient = ServerSettings(url=proxy.url, timeout_s=0.3)
    async with (
        open_log(impatient, namespace=log.keys.namespace) as through,
        consuming(consumer_of(through, handling)),
    ):
        await until_settled(log)
        given_up = proxy.hold_next(b"XREADGROUP")
        await given_up.arrived.wait()
        next_one = proxy.hold_next(b"XREADGROUP")
        await next_one.arrived.wait()
        entries = await append(log, 3)
        await given_up.release()
        assert set(await pending(log)) == set(entries)
        await next_one.release()
        await handling.until_handled(*entries)
        await until_settled(log)

    assert dict(handling.calls) == dict.fromkeys(entries, 1)


async def test_a_lost_reply_to_a_claim_leaves_the_claimed_entries_with_us(
    log: EventLog, through: EventLog, proxy: TcpProxy
) -> None:
    handling = Handling()
    entries = await append(log, 4)
    await create_group(log)
    await deliver(log, "silent", 4)
    await make_idle(log, "silent", entries)
    proxy.lose_next_reply_to(b"XCLAIM")
    async with consuming(consumer_of(through, handling, settings=UNCLAIMED)):
        await handling.until_handled(*entries)
        await until_settled(log)

    assert proxy.lost == 1
    assert dict(handling.calls) == dict.fromkeys(entries, 1)


async def test_a_lost_reply_to_a_dead_letter_move_makes_one_dead_letter(
    log: EventLog, through: EventLog, proxy: TcpProxy
) -> None:
    handling = Handling()
    bad, good = await append(log, 2)
    handling.failures[bad] = ValueError("never")
    text = script_text("consumers.runtime", "dead_letter")
    await log.server.client.call("SCRIPT LOAD", text)
    proxy.lose_next_reply_to(call_of("consumers.runtime", "dead_letter"))
    async with consuming(consumer_of(through, handling, settings=UNCLAIMED)):
        [dead] = await until_dead(log, 1)
        await until_lost(proxy, 1)
        await handling.until_handled(good)
        [last] = await append(log, 1)
        await handling.until_handled(last)
        await until_settled(log)

    assert dead.original.entry_id == bad
    assert len(await dead_letters(log)) == 1
    assert dict(handling.calls) == {bad: UNCLAIMED.policy.tries_max, good: 1, last: 1}
    assert await pending(log, GROUP) == {}
