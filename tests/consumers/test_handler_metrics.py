"""What a handler group's processes tell: counts by entry, and who waits for what."""

import anyio
import pytest

from consumers.errors import UnprocessableError
from events import EventLog
from events.entry.recorded import RecordedEvent
from tests.consumers.support.exposition import Asked, asking, exposed_of
from tests.consumers.support.handler_group import (
    LASTING,
    handler_consumer_of,
    handling_with,
    until_owned,
)
from tests.support.running_consumer import (
    GROUP,
    Handling,
    add_raw,
    create_group,
    created,
    deliver,
    fill,
    until_dead,
    until_settled,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("look_always")

COUNTED = ("handled", "skipped", "failed", "retried", "dead", "claimed")


def counts(samples: dict[str, float]) -> dict[str, float]:
    return {name: samples[f"entries_{name}_total {GROUP} 0"] for name in COUNTED}


async def until_counted(asked: Asked, expected: dict[str, float]) -> None:
    """Wait for the counts: an entry is noted as ended just after the server knows it."""

    async def there() -> bool:
        told = counts(await asked.samples())
        return {name: told[name] for name in expected} == expected

    await wait_until(there, f"the counts are {expected}")


async def test_after_a_known_run_of_a_handler_group_every_count_is_exact(log: EventLog) -> None:
    entries = (await log.append(*(created() for _ in range(10)))).entry_ids
    await add_raw(log, b"name", b"told_by_others", b"payload", b"{}")
    await add_raw(log, b"stray", b"field")
    handling = Handling()
    handling.failures[entries[2]] = UnprocessableError("never")
    handling.failures[entries[5]] = RuntimeError("not now")
    consumer = handler_consumer_of(log, handling)
    async with asking(exposed_of(log, [consumer])) as asked, handling_with(consumer):
        await until_dead(log, 3)
        await until_settled(log)
        expected = {"handled": 8, "skipped": 1, "failed": 1 + 3 + 1, "retried": 2, "dead": 3}
        await until_counted(asked, {**expected, "claimed": 0})
        samples = await asked.samples()
    assert samples[f"batch_size_entries_sum {GROUP} 0"] == 12
    assert samples[f"consumer_connected {GROUP} 0"] == 1


async def test_events_that_are_not_wanted_are_counted_as_skipped(log: EventLog) -> None:
    await fill(log, 2)
    handling = Handling()
    consumer = handler_consumer_of(log, handling, wanted=frozenset({"endpoint_created"}))
    async with asking(exposed_of(log, [consumer])) as asked, handling_with(consumer):
        await until_settled(log)
        await until_counted(asked, {"handled": 2, "skipped": 10})


async def test_what_a_new_owner_takes_over_is_counted_as_claimed(log: EventLog) -> None:
    await create_group(log)
    await log.append(*(created() for _ in range(5)))
    await deliver(log, "gone", 3)
    consumer = handler_consumer_of(log, Handling())
    async with asking(exposed_of(log, [consumer])) as asked, handling_with(consumer):
        await until_settled(log)
        await until_counted(asked, {"handled": 5, "claimed": 3})


async def test_who_waits_for_the_lease_lives_and_is_ready(log: EventLog) -> None:
    first = handler_consumer_of(log, Handling())
    second = handler_consumer_of(log, Handling(), name="second")
    async with handling_with(first):
        await until_owned(log, "first")
        async with asking(exposed_of(log, [second])) as asked, handling_with(second):
            await asked.until("/readyz", 200)
            assert second.progress.state == "waiting"
            assert (await asked.told("/livez"))[0] == 200
            await first.stop()
            await until_owned(log, "second")
            await wait_until(lambda: second.progress.state == "consuming", "it consumes")
            assert (await asked.told("/readyz"))[0] == 200


async def test_an_owner_with_its_hands_full_waits_and_goes_on_when_there_is_room(
    log: EventLog,
) -> None:
    goes_on = anyio.Event()

    async def hang(_recorded: RecordedEvent) -> None:
        await goes_on.wait()

    handling = Handling()
    handling.before = hang
    settings = type(LASTING)(held_max=2, deadline_s=60.0, lease_ms=60_000, block_ms=100)
    consumer = handler_consumer_of(log, handling, settings=settings)
    await log.append(*(created() for _ in range(4)))
    async with handling_with(consumer):
        await until_owned(log, "first")
        await wait_until(
            lambda: (
                (consumer.progress.batch_sizes.total, consumer.progress.state) == (2, "waiting")
            ),
            "its hands are full",
        )
        goes_on.set()
        await until_settled(log)
        await wait_until(lambda: consumer.progress.counts.handled == 4, "all are handled")
        assert consumer.progress.state == "consuming"
