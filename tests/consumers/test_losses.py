"""What a group finds gone is counted, once and exactly."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import permutations

import pytest

from consumers.runtime.group import Group
from consumers.runtime.group_history import REMEMBERED_MAX, GroupHistory
from consumers.runtime.losses import Loss, Losses
from consumers.runtime.outcome import Delivery
from events.entry.entry_id import START, EntryId
from events.entry.recorded import Entry
from events.log.log import EventLog
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    Handling,
    append,
    consumer_of,
    consuming,
    deliver,
    until_settled,
)


@pytest.fixture
async def losses(log: EventLog) -> Losses:
    return Losses(log.server, log.keys, 0, GROUP)


async def trim_before(log: EventLog, entry_id: EntryId) -> None:
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", "=", str(entry_id))


def history_of(log: EventLog, consumer: str = "first") -> GroupHistory:
    return GroupHistory(log.server, log.keys, 0, (GROUP, consumer))


async def ensure(log: EventLog, start: EntryId = START) -> None:
    await Group(log.server, log.keys, 0, GROUP).ensure(start)


async def test_nothing_is_lost_where_nothing_was_trimmed(log: EventLog, losses: Losses) -> None:
    await append(log, 5)
    await ensure(log)
    await history_of(log).look()

    assert await losses.total() == 0
    assert await losses.read() == []


async def test_what_was_trimmed_after_it_was_read_is_no_loss(log: EventLog, losses: Losses) -> None:
    entries = await append(log, 5)
    await ensure(log)
    await deliver(log, "first", 3)
    await trim_before(log, entries[3])
    await history_of(log).look()

    assert await losses.total() == 0


@pytest.mark.parametrize("begun_behind", [None, 1])
async def test_what_was_trimmed_unread_is_counted_exactly_and_once(
    log: EventLog, losses: Losses, begun_behind: int | None
) -> None:
    entries = await append(log, 10)
    await ensure(log, START if begun_behind is None else entries[begun_behind])
    delivered = await deliver(log, "first", 3)
    await trim_before(log, entries[8])
    with captured_lines() as logs:
        for _ in range(3):
            await history_of(log).look()
            await history_of(log, "second").look()

    expected = 8 - (entries.index(delivered[-1]) + 1)
    assert await losses.total() == expected
    [loss] = await losses.read()
    assert (loss.why, loss.entries) == ("trimmed", expected)
    assert (loss.first, loss.last) == (delivered[-1], entries[8])
    assert len([one for one in logs if one["event"] == "history_lost"]) == 1


async def test_a_second_trim_counts_only_what_it_took(log: EventLog, losses: Losses) -> None:
    entries = await append(log, 10)
    await ensure(log)
    await trim_before(log, entries[4])
    await history_of(log).look()
    await trim_before(log, entries[6])
    await history_of(log).look()

    assert await losses.total() == 6
    assert [loss.entries for loss in await losses.read()] == [4, 2]


async def test_what_was_trimmed_from_an_empty_stream_is_counted(
    log: EventLog, losses: Losses
) -> None:
    await append(log, 4)
    await ensure(log)
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "=", 0)
    await history_of(log).look()

    assert await losses.total() == 4


async def test_a_consumer_counts_what_was_trimmed_before_it_reads_on(
    log: EventLog, losses: Losses
) -> None:
    handling = Handling()
    entries = await append(log, 10)
    await ensure(log)
    await trim_before(log, entries[7])

    async with consuming(consumer_of(log, handling)):
        await handling.until_handled(*entries[7:])
        await until_settled(log)

    assert handling.handled == entries[7:]
    assert await losses.total() == 7


def given(entry_ids: list[EntryId]) -> list[Delivery]:
    return [Delivery(Entry(one, 0, {})) for one in entry_ids]


@pytest.fixture
async def remembered(log: EventLog) -> GroupHistory:
    return history_of(log)


async def add_at(log: EventLog, *entry_ids: EntryId) -> None:
    for one in entry_ids:
        await log.server.client.call("XADD", log.keys.events(0), str(one), "name", "odd")


def ids(*ms: int) -> list[EntryId]:
    return [EntryId(one, 0) for one in ms]


@pytest.mark.parametrize(
    ("there", "gone"),
    [
        (ids(1, 2, 3, 4, 5), []),
        (ids(1, 2, 3), ids(4, 5)),
        (ids(1, 2, 3, 6, 7), ids(4, 5)),
        (ids(6, 7), ids(1, 2, 3, 4, 5)),
        ([], ids(1, 2, 3, 4, 5)),
        (ids(1, 2, 3, 4, 5, 6), []),
    ],
    ids=[
        "the same",
        "the end is gone",
        "gone, and others came",
        "another stream",
        "no stream",
        "more came",
    ],
)
async def test_what_was_given_and_is_not_in_the_history_any_more_is_named(
    log: EventLog,
    remembered: GroupHistory,
    losses: Losses,
    there: list[EntryId],
    gone: list[EntryId],
) -> None:
    remembered.note(given(ids(1, 2, 3, 4, 5)))
    await add_at(log, *there)

    with captured_lines() as logs:
        await remembered.compare()
        await remembered.compare()

    said = [one for one in logs if one["event"] == "history_lost"]
    assert [one["entry_ids"] for one in said] == ([[str(one) for one in gone]] if gone else [])
    assert await losses.total() == len(gone)
    assert [(one.why, one.first, one.last) for one in await losses.read()] == (
        [("rewound", gone[0], gone[-1])] if gone else []
    )


async def test_what_was_read_and_then_trimmed_or_deleted_is_no_loss(
    log: EventLog, remembered: GroupHistory, losses: Losses
) -> None:
    await add_at(log, *ids(1, 2, 3, 4, 5))
    remembered.note(given(ids(1, 2, 3, 4, 5)))
    await trim_before(log, EntryId(3, 0))
    await log.server.client.call("XDEL", log.keys.events(0), "4-0")

    await remembered.compare()

    assert await losses.total() == 0


async def test_an_entry_that_is_another_event_now_is_lost_though_its_id_is_there(
    log: EventLog, remembered: GroupHistory, losses: Losses
) -> None:
    events = [Entry(one, 0, {b"id": b"event %d" % one.ms}) for one in ids(1, 2, 3)]
    remembered.note(map(Delivery, events))
    for entry, event_id in zip(events, (b"event 1", b"another", b"and another"), strict=True):
        await log.server.client.call(
            "XADD", log.keys.events(0), str(entry.entry_id), "id", event_id
        )

    await log.server.client.call("XGROUP", "CREATE", log.keys.events(0), GROUP, "0")
    await remembered.look()

    assert await losses.total() == 2
    [loss] = await losses.read()
    assert (loss.why, loss.first, loss.last) == ("rewound", EntryId(2, 0), EntryId(3, 0))


async def test_the_newest_entries_are_remembered_however_many_there_were(
    log: EventLog, remembered: GroupHistory, losses: Losses
) -> None:
    remembered.note(given([EntryId(one, 0) for one in range(1, REMEMBERED_MAX + 501)]))
    await add_at(log, EntryId(1, 0))

    await remembered.compare()

    assert await losses.total() == REMEMBERED_MAX
    [loss] = await losses.read()
    assert (loss.first, loss.last) == (EntryId(501, 0), EntryId(REMEMBERED_MAX + 500, 0))


def of_group(entry_ids: list[EntryId]) -> Loss:
    ends = (entry_ids[0], entry_ids[-1])
    return Loss(GROUP, "rewound", len(entry_ids), *ends, datetime.now(UTC), is_least=True)


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_however_the_counts_of_one_history_overlap_no_entry_is_counted_twice(
    losses: Losses, order: tuple[int, ...]
) -> None:
    """Two consumers looked at 6 and at 8 of 10 entries; then each was given some more."""
    first, second = of_group(ids(*range(1, 7))), of_group(ids(*range(1, 9)))
    notes: list[Callable[[], Awaitable[None]]] = [
        lambda: losses.note_loss(first),
        lambda: losses.note("rewound", ids(7, 9)),
        lambda: losses.note_loss(second),
        lambda: losses.note("rewound", ids(10)),
    ]
    for one in order:
        await notes[one]()
    assert await losses.total() == 10


async def test_a_history_that_vanishes_after_a_connection_was_cut_is_counted_whole(
    log: EventLog, remembered: GroupHistory, losses: Losses
) -> None:
    await add_at(log, *ids(*range(1, 9)))
    await ensure(log)
    await deliver(log, "first", 8)
    await remembered.look()
    remembered.note(given(ids(2, 5)))  # the others' entries it knows by the look alone
    await remembered.compare()  # as at each reconnect
    await log.server.client.call("DEL", log.keys.events(0))
    await remembered.compare()
    assert await losses.total() == 8


@pytest.mark.parametrize("first", [None, 20, 5], ids=["none", "later ids", "the same ids"])
async def test_a_new_identity_tells_of_a_loss_only_where_the_entries_are_gone(
    log: EventLog, remembered: GroupHistory, losses: Losses, first: int | None
) -> None:
    await add_at(log, *ids(*range(1, 9)))
    await ensure(log)
    await deliver(log, "first", 8)
    await remembered.look()
    await remembered.compare()
    if first is not None:  # so many were appended since that the counts tell nothing
        await log.server.client.call("DEL", log.keys.events(0))
        await add_at(log, *(EntryId(ms, 1) for ms in range(first, first + 20)))
        await log.server.client.call("XDEL", log.keys.events(0), str(EntryId(first + 9, 1)))
    await log.server.client.call("HSET", log.keys.identity(0), "identity", "another")
    await remembered.compare()
    assert await losses.total() == (0 if first is None else 8)
