"""What the last failed try of an entry ended with: kept as long as the entry is pending."""

from msgspec.structs import replace

from consumers.runtime.last_errors import CHARACTERS_MAX, LastErrors
from consumers.runtime.outcome import RetryPolicy
from consumers.runtime.projector import Projector
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.handler_group import LASTING, handler_consumer_of, handling_with
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    Handling,
    consumer_of,
    consuming,
    create_group,
    created,
    deliver,
    dying,
    until_dead,
    until_settled,
)
from tests.support.waiting import wait_until

KEPT_MAX = 10_000
PATIENT = replace(QUICK, policy=RetryPolicy(first_s=60.0, most_s=60.0), claim_idle_ms=200)


def errors_of(log: EventLog, group: str = GROUP) -> LastErrors:
    return LastErrors(log.server, log.keys, 0, group)


async def kept(log: EventLog, group: str = GROUP) -> dict[EntryId, str]:
    """All that there is in Redis, of whichever entries."""
    raw = await log.server.client.execute_command("HGETALL", log.keys.errors(0, group))
    return {EntryId.parse(entry_id): error.decode() for entry_id, error in raw.items()}


async def until_kept(log: EventLog, wanted: dict[EntryId, str]) -> None:
    async def is_so() -> bool:
        return await kept(log) == wanted

    await wait_until(is_so, f"{wanted} is kept")


async def test_what_a_consumer_that_died_failed_with_is_known_until_another_has_handled_it(
    log: EventLog,
) -> None:
    handling = Handling()
    [good, bad] = (await log.append(created(), created())).entry_ids
    handling.failures[bad] = ValueError("no\n  luck")
    async with dying(consumer_of(log, handling, settings=PATIENT)):
        await until_kept(log, {bad: "ValueError: no luck"})
    assert handling.handled == [good]
    assert await errors_of(log).of([good, bad]) == {bad: "ValueError: no luck"}

    handling.failures.clear()
    async with consuming(consumer_of(log, handling, name="second", settings=PATIENT)):
        await until_settled(log)
    assert handling.handled == [good, bad]
    assert await kept(log) == {}


async def test_an_entry_that_is_given_up_on_takes_its_last_error_with_it(log: EventLog) -> None:
    handling = Handling()
    [bad] = (await log.append(created())).entry_ids
    handling.failures[bad] = ValueError("no luck")
    async with consuming(consumer_of(log, handling)):
        [dead] = await until_dead(log, 1)
    assert dead.error == "ValueError: no luck"
    assert await kept(log) == {}


async def test_a_projector_that_applies_an_entry_forgets_what_it_failed_with(log: EventLog) -> None:
    group = ROUTE_TABLE.name
    await create_group(log, group)
    [entry_id] = (await log.append(created())).entry_ids
    await deliver(log, "gone", 1, group)
    await errors_of(log, group).keep([(entry_id, "OSError: gone")])
    assert await kept(log, group) == {entry_id: "OSError: gone"}
    projector = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
    async with consuming(consumer_of(log, projector, group=group)):
        await until_settled(log, group)
    assert await kept(log, group) == {}


async def test_what_a_handler_failed_with_is_known_until_it_has_handled_it(log: EventLog) -> None:
    handling = Handling()
    [bad] = (await log.append(created())).entry_ids
    handling.failures[bad] = OSError("no route to host")
    settings = replace(LASTING, policy=RetryPolicy(100, 0.2, 0.2))
    async with handling_with(handler_consumer_of(log, handling, settings=settings)):
        await until_kept(log, {bad: "OSError: no route to host"})
        handling.failures.clear()
        await until_settled(log)
    assert await kept(log) == {}


async def test_an_entry_that_a_handler_gives_up_on_takes_its_last_error_with_it(
    log: EventLog,
) -> None:
    handling = Handling()
    [bad] = (await log.append(created())).entry_ids
    handling.failures[bad] = OSError("no route to host")
    async with handling_with(handler_consumer_of(log, handling)):
        [dead] = await until_dead(log, 1)
    assert dead.reason == "failed 3 times"
    assert await kept(log) == {}


async def test_nothing_is_kept_of_an_entry_that_is_not_pending(log: EventLog) -> None:
    await create_group(log)
    [entry_id, never] = (await log.append(created(), created())).entry_ids
    await deliver(log, "first", 1)
    await log.server.client.call("XACK", log.keys.events(0), GROUP, str(entry_id))
    await errors_of(log).keep([(entry_id, "late"), (never, "early")])
    assert await kept(log) == {}


async def test_what_is_kept_is_bounded_in_length_and_in_number(log: EventLog) -> None:
    await create_group(log)
    ids: list[EntryId] = []
    while len(ids) <= KEPT_MAX:
        ids += (await log.append(*[created()] * 1_000)).entry_ids
    await deliver(log, "first", len(ids))
    long = "x" * (CHARACTERS_MAX + 1)
    await errors_of(log).keep([(one, long) for one in ids[:KEPT_MAX]])
    there = await kept(log)
    assert len(there) == KEPT_MAX
    assert set(there.values()) == {"x" * 200}
    await errors_of(log).keep([(ids[0], "again")])
    assert len(await kept(log)) == KEPT_MAX
    await errors_of(log).keep([(ids[KEPT_MAX], "one more")])
    assert await kept(log) == {ids[KEPT_MAX]: "one more"}
