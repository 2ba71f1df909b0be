import pytest

from consumers.runtime.outcome import DeadLetter, Delivery, Handled, Outcome, Retry, Skipped
from consumers.runtime.pending import PendingEntries
from consumers.runtime.settlement import Settlement
from events.entry.recorded import Entry
from events.log.log import EventLog
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    add_raw,
    create_group,
    dead_letters,
    deliver,
    pending,
)


class Desk:
    """A settlement, with four entries that are pending with its consumer."""

    def __init__(self, log: EventLog, deliveries: list[Delivery]) -> None:
        self.pending = PendingEntries(log.server, log.keys, 0, GROUP, "first")
        self.deliveries = deliveries
        self._settlement = Settlement(log.server, log.keys, self.pending, GROUP, "first")

    async def settle(self, *outcomes: Outcome) -> None:
        await self._settlement.settle(zip(self.deliveries, outcomes, strict=False))


@pytest.fixture
async def desk(log: EventLog) -> Desk:
    fields = {b"name": b"odd"}
    entries = [Entry(await add_raw(log, b"name", b"odd"), 0, fields) for _ in range(4)]
    await create_group(log)
    await deliver(log, "first", 4)
    return Desk(log, [Delivery(entry) for entry in entries])


async def test_each_outcome_ends_its_entry_in_its_way(log: EventLog, desk: Desk) -> None:
    await desk.settle(Handled(), Retry(60.0), DeadLetter("undecodable"), Skipped())

    retried, dead = desk.deliveries[1], desk.deliveries[2]
    assert await pending(log) == {retried.entry_id: ("first", 1)}
    assert [one.original.entry_id for one in await dead_letters(log)] == [dead.entry_id]


async def test_a_retry_is_due_after_its_delay_and_not_before(desk: Desk) -> None:
    await desk.settle(Retry(60.0))

    assert desk.pending.next_due_s is not None
    assert 59.0 < desk.pending.next_due_s <= 60.0
    assert [batch async for batch in desk.pending.due(10)] == []


async def test_the_retry_that_is_due_first_counts(desk: Desk) -> None:
    await desk.settle(Retry(60.0), Retry(0.0), Retry(30.0))

    assert desk.pending.next_due_s == 0.0
    [[again]] = [batch async for batch in desk.pending.due(10)]
    assert again.entry_id == desk.deliveries[1].entry_id
    assert again.deliveries == 2
    assert desk.pending.next_due_s > 29.0


async def test_an_entry_that_another_consumer_took_meanwhile_is_not_tried_again(
    log: EventLog, desk: Desk
) -> None:
    await desk.settle(Retry(0.0))
    taken = str(desk.deliveries[0].entry_id)
    await log.server.client.call("XCLAIM", log.keys.events(0), GROUP, "second", 0, taken)

    assert [batch async for batch in desk.pending.due(10)] == []
    assert (await pending(log))[desk.deliveries[0].entry_id][0] == "second"


async def test_an_entry_ended_elsewhere_meanwhile_makes_no_dead_letter(
    log: EventLog, desk: Desk
) -> None:
    ended = str(desk.deliveries[0].entry_id)
    await log.server.client.call("XACK", log.keys.events(0), GROUP, ended)

    with captured_lines() as logs:
        await desk.settle(DeadLetter("failed 3 times"))

    assert await dead_letters(log) == []
    assert logs == []


async def test_a_retry_is_a_warning_and_a_dead_letter_an_error(desk: Desk) -> None:
    with captured_lines() as logs:
        await desk.settle(Handled(), Retry(0.5), DeadLetter("undecodable", "no JSON"))

    assert [(one["log_level"], one["event"]) for one in logs] == [
        ("warning", "entry_retried"),
        ("error", "entry_dead"),
    ]
    for one in logs:
        assert (one["group"], one["consumer"], one["partition"]) == (GROUP, "first", 0)
    assert logs[1]["reason"] == "undecodable"
    assert logs[1]["entry_id"] == str(desk.deliveries[2].entry_id)


async def test_settling_nothing_asks_nothing_of_the_server(log: EventLog, desk: Desk) -> None:
    before = await pending(log)
    await desk.settle()
    assert await pending(log) == before
