import anyio.lowlevel
import pytest

from consumers.errors import UnprocessableError
from consumers.runtime.outcome import RetryPolicy
from consumers.runtime.processor import HandlerProcessor
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    QUICK,
    UNCLAIMED,
    Handling,
    add_raw,
    append,
    consumer_of,
    consuming,
    create_group,
    dead_letters,
    deliver,
    members,
    pending,
    until_dead,
    until_settled,
)
from tests.support.waiting import wait_until

ENDPOINT = b'{"endpoint_id":"00000000-0000-0000-0000-000000000001"'
DEEP = ENDPOINT + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

GARBAGE = {
    "a payload that is not JSON": (b"name", b"endpoint_created", b"payload", b"\x93\x01\x02"),
    "a payload of another shape": (b"name", b"endpoint_created", b"payload", b"[]"),
    "no payload": (b"name", b"endpoint_created", b"v", b"1"),
    "an empty payload": (b"name", b"endpoint_created", b"payload", b""),
    "a field that breaks its limits": (
        *(b"name", b"route_traffic_ratio_updated"),
        *(b"payload", ENDPOINT + b',"route_id":"' + b"0" * 32 + b'","traffic_ratio":-7}'),
    ),
    "a payload that is nested without end": (b"name", b"endpoint_destroyed", b"payload", DEEP),
    "a version that is not known": (b"name", b"endpoint_created", b"v", b"9", b"payload", b"{}"),
    "a version beyond any number": (
        *(b"name", b"endpoint_created", b"v", b"9" * 5_000, b"payload", b"{}"),
    ),
    "an old version that no upcaster expects": (
        *(b"name", b"endpoint_health_check_updated", b"v", b"1", b"payload", b"[]"),
    ),
    "metadata that is not JSON": (
        *(b"name", b"endpoint_destroyed", b"payload", ENDPOINT + b"}", b"metadata", b"\xff"),
    ),
    "no name": (b"payload", b"{}"),
    "binary junk": (b"\xff\x00\r\n", bytes(range(256))),
    "empty fields": (b"", b""),
    "a great many fields": tuple(b"%d" % number for number in range(12_000)),
}


async def test_every_entry_is_handled_once_in_its_order(log: EventLog, handling: Handling) -> None:
    before = await append(log, 250)
    async with consuming(consumer_of(log, handling)):
        after = await append(log, 5)
        await handling.until_handled(*before, *after)

    assert handling.handled == before + after
    assert await pending(log) == {}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_between_two_good_entries_ends_as_a_dead_letter(
    log: EventLog, handling: Handling, garbage: tuple[bytes, ...]
) -> None:
    [first] = await append(log)
    bad = await add_raw(log, *garbage)
    [last] = await append(log)

    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(first, last)
        [dead] = await until_dead(log, 1)
        await until_settled(log)

    assert handling.handled == [first, last]
    assert dead.original.entry_id == bad
    assert (dead.reason, dead.deliveries) == ("undecodable", 1)
    assert dead.error


@pytest.mark.parametrize("name", [b"route_painted", b"endpoint_created\n", b"\xff\xfe"])
async def test_an_unknown_type_is_skipped_and_acknowledged(
    log: EventLog, handling: Handling, name: bytes
) -> None:
    await add_raw(log, b"name", name, b"payload", b"{}")
    [good] = await append(log)

    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(good)
        await until_settled(log)

    assert await dead_letters(log) == []


async def test_a_failing_entry_is_tried_again_with_a_growing_delay_and_then_given_up(
    log: EventLog, handling: Handling
) -> None:
    first, bad, last = await append(log, 3)
    handling.failures[bad] = ValueError("odd")

    with captured_lines() as logs:
        async with consuming(consumer_of(log, handling)):
            [dead] = await until_dead(log, 1)
            await until_settled(log)

    assert handling.calls == {first: 1, bad: QUICK.policy.tries_max, last: 1}
    assert (dead.reason, dead.error) == ("failed 3 times", "ValueError: odd")
    assert dead.deliveries == 3
    delays = [one["after_s"] for one in logs if one["event"] == "entry_retried"]
    assert [(0.005 <= delays[0] <= 0.01), (0.01 <= delays[1] <= 0.02)] == [True, True]
    assert len(delays) == 2


async def test_an_entry_that_fails_only_once_is_handled_at_its_second_try(
    log: EventLog, handling: Handling
) -> None:
    [entry_id] = await append(log)
    handling.failures[entry_id] = ValueError("odd")

    async def mend(recorded: RecordedEvent) -> None:
        if handling.calls[recorded.entry_id] == 2:
            handling.failures.clear()

    handling.before = mend
    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(entry_id)
        await until_settled(log)

    assert handling.calls[entry_id] == 2
    assert await dead_letters(log) == []


async def test_an_entry_that_no_further_try_will_help_is_given_up_at_once(
    log: EventLog, handling: Handling
) -> None:
    first, bad, last = await append(log, 3)
    handling.failures[bad] = UnprocessableError("no such endpoint over there")

    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(first, last)
        [dead] = await until_dead(log, 1)

    assert handling.calls[bad] == 1
    assert (dead.reason, dead.error) == ("unprocessable", "no such endpoint over there")
    assert dead.original.entry_id == bad


async def test_a_waiting_try_holds_up_no_other_entry(log: EventLog, handling: Handling) -> None:
    [bad] = await append(log)
    handling.failures[bad] = ValueError("odd")
    seen: list[EntryId] = []
    slow = HandlerProcessor(handling, QUICK.policy)

    async with consuming(consumer_of(log, slow)):
        for _ in range(20):
            seen += await append(log)
            await handling.until_handled(seen[-1])
        await until_dead(log, 1)

    assert handling.handled == seen


async def test_after_a_reconnect_the_own_pending_entries_come_first(
    log: EventLog, handling: Handling
) -> None:
    await create_group(log)
    old = await append(log, 3)
    await deliver(log, "first", 3)
    new = await append(log, 3)

    async with consuming(consumer_of(log, handling, name="first")):
        await handling.until_handled(*old, *new)

    assert handling.handled == old + new
    assert set(handling.calls.values()) == {1}


async def test_a_group_begins_where_its_processor_says_and_only_the_first_time(
    log: EventLog, handling: Handling
) -> None:
    old = await append(log, 2)
    late = HandlerProcessor(handling, QUICK.policy, start=old[0])
    async with consuming(consumer_of(log, late)):
        await handling.until_handled(old[1])
    between = await append(log)

    async with consuming(consumer_of(log, HandlerProcessor(handling, QUICK.policy))):
        await handling.until_handled(*between)

    assert handling.handled == [old[1], *between]


async def test_the_consumers_of_a_group_share_its_entries(log: EventLog) -> None:
    first, second = Handling(), Handling()

    async def breathe(_recorded: RecordedEvent) -> None:
        await anyio.lowlevel.checkpoint()

    first.before = second.before = breathe
    both = [
        consumer_of(log, handling, name=name, settings=UNCLAIMED)
        for name, handling in (("first", first), ("second", second))
    ]
    async with consuming(*both):
        appended = [one for _ in range(60) for one in await append(log, 10)]
        await until_settled(log)

    assert sorted(first.handled + second.handled) == appended


async def test_two_groups_are_each_given_everything(log: EventLog) -> None:
    first, second = Handling(), Handling()
    both = (consumer_of(log, first), consumer_of(log, second, group="another"))
    async with consuming(*both):
        appended = await append(log, 20)
        await first.until_handled(*appended)
        await second.until_handled(*appended)

    assert first.handled == second.handled == appended


async def test_a_consumer_with_nothing_pending_leaves_the_group(
    log: EventLog, handling: Handling
) -> None:
    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(*await append(log, 3))
        await until_settled(log)
        assert await members(log) == ["first"]

    assert await members(log) == []


async def test_a_consumer_with_entries_pending_stays_in_the_group(
    log: EventLog, handling: Handling
) -> None:
    [bad] = await append(log)
    handling.failures[bad] = ValueError("odd")
    patient = RetryPolicy(tries_max=3, first_s=60.0, most_s=60.0)
    processor = HandlerProcessor(handling, patient)

    async with consuming(consumer_of(log, processor)):

        async def failed() -> bool:
            return handling.calls[bad] == 1

        await wait_until(failed, "the entry has failed")

    assert await members(log) == ["first"]
    assert await pending(log) == {bad: ("first", 1)}
