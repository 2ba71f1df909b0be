from datetime import UTC, datetime, timedelta

import pytest

from consumers.runtime.dead_letters import DeadLetters
from consumers.runtime.outcome import DeadLetter, Delivery
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.log.log import EventLog
from tests.support.running_consumer import (
    GROUP,
    add_raw,
    create_group,
    dead_letters,
    deliver,
    pending,
)

JUNK = {b"": b"", b"\xff\x00": b"\xfe\r\n", b"name": b"odd", b"payload": bytes(range(256))}


async def delivered(log: EventLog, fields: dict[bytes, bytes]) -> Delivery:
    """Add an entry, and let it be pending with a consumer."""
    entry_id = await add_raw(log, *(part for field in fields.items() for part in field))
    await create_group(log)
    await deliver(log, "first", 10)
    return Delivery(Entry(entry_id, 0, fields), deliveries=4)


def dead_of(log: EventLog) -> DeadLetters:
    return DeadLetters(log.server, log.keys, 0, GROUP)


async def test_an_entry_is_moved_and_acknowledged_in_one_step(log: EventLog) -> None:
    delivery = await delivered(log, JUNK)

    assert await dead_of(log).move(delivery, DeadLetter("undecodable", "no JSON"), "first")

    assert await pending(log) == {}
    [dead] = await dead_letters(log)
    assert (dead.reason, dead.error, dead.deliveries, dead.consumer) == (
        "undecodable",
        "no JSON",
        4,
        "first",
    )
    assert dead.original.entry_id == delivery.entry_id


@pytest.mark.parametrize(
    "fields",
    [
        JUNK,
        {b"dead_reason": b"none", b"dead_entry_id": b"not an id", b"dead_deliveries": b"many"},
        {b"dead_": b"", b"reason": b"mine", b"error": b"mine"},
        {b"%d" % number: b"x" for number in range(900)},
        {b"payload": b"\x00" * 1_000_000},
    ],
    ids=["junk", "our own names", "names like ours", "many fields", "a large value"],
)
async def test_the_original_fields_are_kept_byte_for_byte(
    log: EventLog, fields: dict[bytes, bytes]
) -> None:
    delivery = await delivered(log, fields)

    await dead_of(log).move(delivery, DeadLetter("undecodable"), "first")

    [dead] = await dead_letters(log)
    assert dead.original == delivery.entry
    assert dead.reason == "undecodable"


async def test_an_entry_of_more_fields_than_a_script_can_pass_on_is_moved_too(
    log: EventLog,
) -> None:
    delivery = await delivered(log, {b"%d" % number: b"x" for number in range(5_000)})

    assert await dead_of(log).move(delivery, DeadLetter("undecodable", "no name"), "first")

    [dead] = await dead_letters(log)
    assert dead.original.entry_id == delivery.entry_id
    assert dead.original.fields.items() <= delivery.entry.fields.items()
    assert len(dead.original.fields) == 1_000
    assert dead.error == "no name (the first 1000 of 5000 fields are kept here)"
    assert await pending(log) == {}


async def test_moving_twice_makes_one_dead_letter(log: EventLog) -> None:
    delivery = await delivered(log, JUNK)
    dead = dead_of(log)

    assert await dead.move(delivery, DeadLetter("undecodable"), "first")
    assert not await dead.move(delivery, DeadLetter("undecodable"), "second")

    assert len(await dead_letters(log)) == 1


async def test_an_entry_that_was_acknowledged_meanwhile_is_not_moved(log: EventLog) -> None:
    delivery = await delivered(log, JUNK)
    await log.server.client.call("XACK", log.keys.events(0), GROUP, str(delivery.entry_id))

    assert not await dead_of(log).move(delivery, DeadLetter("failed 3 times"), "first")

    assert await dead_letters(log) == []


async def test_the_entry_stays_in_the_log(log: EventLog) -> None:
    delivery = await delivered(log, JUNK)

    await dead_of(log).move(delivery, DeadLetter("undecodable"), "first")

    [[entry]] = [chunk async for chunk in log.read_entries(0)]
    assert entry == delivery.entry


async def test_a_very_long_error_is_cut(log: EventLog) -> None:
    delivery = await delivered(log, JUNK)

    await dead_of(log).move(delivery, DeadLetter("failed 3 times", "x" * 100_000), "first")

    [dead] = await dead_letters(log)
    assert dead.error == "x" * 2_000


async def test_a_dead_letter_says_since_when_and_until_when_it_was_tried(log: EventLog) -> None:
    delivery = await delivered(log, JUNK)

    await dead_of(log).move(delivery, DeadLetter("undecodable"), "first")

    [dead] = await dead_letters(log)
    assert dead.first_at == datetime.fromtimestamp(delivery.entry_id.ms / 1_000, UTC)
    assert dead.first_at <= dead.last_at + timedelta(seconds=1)
    assert datetime.now(UTC) - dead.last_at < timedelta(minutes=1)


async def test_an_entry_id_beyond_any_calendar_is_moved_too(log: EventLog) -> None:
    await create_group(log)
    far = EntryId(2**62, 1)
    await log.server.client.call("XADD", log.keys.events(0), str(far), "junk", "junk")
    await deliver(log, "first", 1)

    delivery = Delivery(Entry(far, 0, {b"junk": b"junk"}))
    assert await dead_of(log).move(delivery, DeadLetter("undecodable"), "first")

    [dead] = await dead_letters(log)
    assert dead.original.entry_id == far


async def test_more_dead_letters_than_one_reading_takes_are_all_read(log: EventLog) -> None:
    await create_group(log)
    entry_ids = [await add_raw(log, b"n", b"%d" % number) for number in range(1_001)]
    await deliver(log, "first", 2_000)
    dead = dead_of(log)
    for entry_id in entry_ids:
        delivery = Delivery(Entry(entry_id, 0, {b"n": b"0"}))
        await dead.move(delivery, DeadLetter("undecodable"), "first")

    assert [one.original.entry_id for one in await dead_letters(log)] == entry_ids


async def test_each_group_has_its_own_dead_letters(log: EventLog) -> None:
    delivery = await delivered(log, JUNK)
    await create_group(log, "another")
    await deliver(log, "first", 10, "another")

    await dead_of(log).move(delivery, DeadLetter("undecodable"), "first")

    assert await dead_letters(log, "another") == []
    assert list(await pending(log, "another")) == [delivery.entry_id]
