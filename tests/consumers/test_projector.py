from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import anyio
import pytest

from consumers.runtime import projector as projector_module
from consumers.runtime.consumer import Consumer
from consumers.runtime.outcome import DeadLetter, Delivery, Outcome, Retry
from consumers.runtime.projector import Projector
from events.catalogue.route import RouteTrafficRatioUpdatedEvent
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog
from projections.catalogue import PROJECTIONS
from projections.projection import Projection
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.log_lines import captured_lines
from tests.support.read_model import live_documents
from tests.support.running_consumer import (
    QUICK,
    add_raw,
    consumer_of,
    consuming,
    create_group,
    created,
    dead_letters,
    documents,
    fill,
    folded_in_order,
    pending,
    states,
    until_settled,
)
from tests.support.waiting import wait_until

NAME = ROUTE_TABLE.name


def projecting(
    log: EventLog, name: str = "first", projection: Projection[Any] = ROUTE_TABLE
) -> Consumer:
    projector = Projector(log, projection, 0, QUICK.policy)
    return consumer_of(log, projector, group=projection.name, name=name)


async def assert_in_step(log: EventLog, projection: Projection[Any] = ROUTE_TABLE) -> None:
    assert await states(log, projection) == await folded_in_order(log, projection)


async def delivered(log: EventLog, name: str = "first") -> list[Delivery]:
    """Read all there is for the consumer *name*, as its first try."""
    reply = await log.server.client.execute_command(
        *("XREADGROUP", "GROUP", NAME, name, "COUNT", 100_000),
        *("STREAMS", log.keys.events(0), ">"),
    )
    assert reply
    read = [entry for chunk in [c async for c in log.read_entries(0)] for entry in chunk]
    ids = {entry_id for entry_id, _ in reply[0][1]}
    return [Delivery(entry) for entry in read if str(entry.entry_id).encode() in ids]


async def prepared(
    log: EventLog, projection: Projection[Endpoint] = ROUTE_TABLE
) -> Projector[Endpoint]:
    projector = Projector(log, projection, 0, QUICK.policy)
    await projector.prepare()
    return projector


async def delete_read_model(log: EventLog) -> None:
    """Delete all that the route table consists of, except the numbers that were given out."""
    client, keys = log.server.client, log.keys
    live = await client.execute_command("GET", keys.live(0, NAME))
    await client.call("DEL", keys.live(0, NAME), keys.changes(0, NAME))
    if live is not None:
        await client.call("DEL", keys.documents(0, NAME, int(live)))


@pytest.mark.parametrize("projection", PROJECTIONS.values(), ids=PROJECTIONS)
async def test_the_read_model_is_what_an_in_order_fold_gives(
    log: EventLog, projection: Projection[Any]
) -> None:
    await fill(log, 20)
    async with consuming(projecting(log, projection=projection)):
        await fill(log, 20)
        await until_settled(log, projection.name)

    await assert_in_step(log, projection)


async def test_each_change_is_applied_once_and_raises_the_revision_by_one(log: EventLog) -> None:
    await create_group(log, NAME)
    projector = await prepared(log)
    [endpoint_id] = await fill(log, 1)
    deliveries = await delivered(log)

    for delivery in deliveries:
        assert await projector.process([delivery]) == []

    assert (await documents(log, ROUTE_TABLE))[endpoint_id][0] == len(deliveries)
    assert await pending(log, NAME) == {}
    for delivery in reversed(deliveries):
        assert await projector.process([delivery]) == []
    assert (await documents(log, ROUTE_TABLE))[endpoint_id][0] == len(deliveries)
    await assert_in_step(log)


async def test_a_read_model_deleted_while_nothing_happens_is_built_again(log: EventLog) -> None:
    async with consuming(projecting(log)):
        await fill(log, 20)
        await until_settled(log, NAME)
        before, lost = await states(log, ROUTE_TABLE), await live_documents(log, NAME)
        await delete_read_model(log)

        async def there() -> bool:
            return await states(log, ROUTE_TABLE) == before

        await wait_until(there, "the read model is there again")

    assert await live_documents(log, NAME) != lost


@pytest.mark.parametrize("times", [1, 5])
async def test_a_read_model_deleted_while_much_happens_is_built_again(
    log: EventLog, times: int
) -> None:
    async with consuming(projecting(log, "first"), projecting(log, "second")):
        for _ in range(times):
            await fill(log, 20)
            await delete_read_model(log)
            await fill(log, 20)
        await until_settled(log, NAME)

        async def there() -> bool:
            return bool(await documents(log, ROUTE_TABLE))

        await wait_until(there, "the read model is there again")

    await assert_in_step(log)
    assert len(await states(log, ROUTE_TABLE)) == 40 * times


async def test_a_document_deleted_under_a_projector_lets_the_read_model_be_built_again(
    log: EventLog,
) -> None:
    await create_group(log, NAME)
    projector = await prepared(log)
    deleted, other = await fill(log, 2)
    await projector.process(await delivered(log))
    before = await documents(log, ROUTE_TABLE)
    await log.server.client.call("HDEL", await live_documents(log, NAME), str(deleted))
    route_id = next(iter(before[deleted][1].routes))
    await log.append(
        RouteTrafficRatioUpdatedEvent(endpoint_id=deleted, route_id=route_id, traffic_ratio=0.125)
    )

    with captured_lines() as logs:
        assert await projector.process(await delivered(log)) == []

    await assert_in_step(log)
    assert [one["event"] for one in logs] == ["read_model_lost", "generation_built"]
    assert (logs[0]["group"], logs[0]["partition"]) == (NAME, 0)
    assert (await documents(log, ROUTE_TABLE))[other] == before[other]


async def test_a_projector_that_begins_anew_takes_no_lost_document_for_a_new_endpoint(
    log: EventLog,
) -> None:
    await create_group(log, NAME)
    deleted, _ = await fill(log, 2)
    await (await prepared(log)).process(await delivered(log))
    route_id = next(iter((await states(log, ROUTE_TABLE))[deleted].routes))
    await log.server.client.call("HDEL", await live_documents(log, NAME), str(deleted))
    await log.append(
        RouteTrafficRatioUpdatedEvent(endpoint_id=deleted, route_id=route_id, traffic_ratio=0.125)
    )

    assert await (await prepared(log)).process(await delivered(log)) == []

    await assert_in_step(log)


async def test_documents_deleted_beside_the_live_generation_are_noticed_without_any_event(
    log: EventLog,
) -> None:
    async with consuming(projecting(log)):
        await fill(log, 20)
        await until_settled(log, NAME)
        await log.server.client.call("DEL", await live_documents(log, NAME))

        async def there() -> bool:
            return len(await documents(log, ROUTE_TABLE)) == 20

        await wait_until(there, "the documents are there again")

    await assert_in_step(log)


async def test_two_projectors_of_the_same_endpoints_lose_no_event(log: EventLog) -> None:
    await create_group(log, NAME)
    first, second = await prepared(log), await prepared(log)
    await fill(log, 5)
    deliveries = await delivered(log)

    async def process(projector: Projector[Endpoint], mine: Sequence[Delivery]) -> None:
        for delivery in mine:
            assert await projector.process([delivery]) == []

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process, first, deliveries[::2])
        tasks.start_soon(process, second, deliveries[1::2])

    await assert_in_step(log)
    assert await pending(log, NAME) == {}
    revisions = sum(revision for revision, _ in (await documents(log, ROUTE_TABLE)).values())
    assert revisions == len(deliveries)


async def test_a_projector_that_holds_an_older_state_folds_on_from_what_is_there(
    log: EventLog,
) -> None:
    await create_group(log, NAME)
    first, second = await prepared(log), await prepared(log)
    [endpoint_id] = await fill(log, 1)
    deliveries = await delivered(log)

    await first.process(deliveries[:1])
    await second.process(deliveries[1:3])
    await first.process(deliveries[3:])

    await assert_in_step(log)
    assert (await documents(log, ROUTE_TABLE))[endpoint_id][0] == 3


async def test_a_fold_that_raises_makes_dead_letters_of_its_entries_alone(log: EventLog) -> None:
    await create_group(log, NAME)
    await fill(log, 4)
    deliveries = await delivered(log)
    bad = {deliveries[5].entry_id, deliveries[10].entry_id}

    def evolve(state: Endpoint, recorded: RecordedEvent) -> Endpoint:
        if recorded.entry_id in bad:
            raise ZeroDivisionError("a bug")
        return ROUTE_TABLE.evolve(state, recorded)

    projector = await prepared(log, replace(ROUTE_TABLE, evolve=evolve))
    last_try = [Delivery(one.entry, QUICK.policy.tries_max) for one in deliveries]

    first_outcomes: list[tuple[Delivery, Outcome]] = await projector.process(deliveries)
    assert {one.entry_id for one, _ in first_outcomes} == bad
    assert all(isinstance(outcome, Retry) for _, outcome in first_outcomes)
    assert set(await pending(log, NAME)) == bad

    last_outcomes = await projector.process([one for one in last_try if one.entry_id in bad])
    dead = DeadLetter("failed 3 times", "ZeroDivisionError: a bug")
    assert [outcome for _, outcome in last_outcomes] == [dead, dead]


async def test_dead_letters_of_a_projector_leave_the_other_endpoints_as_they_should_be(
    log: EventLog,
) -> None:
    await fill(log, 3)
    async with consuming(projecting(log)):
        await until_settled(log, NAME)
        await add_raw(log, b"name", b"route_created", b"payload", b"{}")
        await add_raw(log, b"junk", b"\xff")
        await fill(log, 3)
        await until_settled(log, NAME)

    assert len(await dead_letters(log, NAME)) == 2
    await assert_in_step(log)


async def test_more_documents_than_are_held_in_memory_are_all_written(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector_module, "HELD_MAX", 7)
    await create_group(log, NAME)
    projector = await prepared(log)
    await fill(log, 5)
    assert await projector.process(await delivered(log)) == []
    known = [created(one) for one in await states(log, ROUTE_TABLE)]

    await log.append(*known, *(created() for _ in range(5)))
    assert await projector.process(await delivered(log)) == []

    await assert_in_step(log)
    assert len(await states(log, ROUTE_TABLE)) == 10


async def test_a_batch_of_more_documents_than_one_script_writes_is_written_in_slices(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector_module, "APPLY_MAX", 3)
    await create_group(log, NAME)
    projector = await prepared(log)
    await fill(log, 10)

    assert await projector.process(await delivered(log)) == []

    await assert_in_step(log)
    assert await pending(log, NAME) == {}


async def swap(log: EventLog) -> None:
    """Build a second generation beside the live one, and make it live."""
    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
    seen = await store.live_generation()
    await log.server.client.call("DEL", log.keys.live(0, NAME))
    await build(log, store)
    assert await store.live_generation() != seen


@pytest.mark.parametrize("change", [swap, delete_read_model])
async def test_a_projector_in_the_middle_of_its_work_goes_on_with_another_generation(
    log: EventLog, change: Callable[[EventLog], Awaitable[None]]
) -> None:
    await create_group(log, NAME)
    projector = await prepared(log)
    await fill(log, 5)
    deliveries = await delivered(log)

    assert await projector.process(deliveries[:12]) == []
    await change(log)
    assert await projector.process(deliveries[12:]) == []

    await assert_in_step(log)
    assert await pending(log, NAME) == {}


async def test_a_swapped_generation_is_noticed_while_nothing_happens(log: EventLog) -> None:
    async with consuming(projecting(log)):
        await fill(log, 3)
        await until_settled(log, NAME)
        with captured_lines() as logs:
            await swap(log)

            def told() -> list[tuple[str, int]]:
                gone = [one for one in logs if one["event"] == "generation_gone"]
                return [(one["group"], one["partition"]) for one in gone]

            async def noticed() -> bool:
                return told() == [(NAME, 0)]

            await wait_until(noticed, "the projector noticed the swap")
        await fill(log, 3)
        await until_settled(log, NAME)

    await assert_in_step(log)


async def test_the_old_generation_is_not_written_any_more(log: EventLog) -> None:
    await create_group(log, NAME)
    projector = await prepared(log)
    await fill(log, 2)
    deliveries = await delivered(log)
    await projector.process(deliveries[:6])
    old_key = await live_documents(log, NAME)
    old = await log.server.client.execute_command("HGETALL", old_key)
    await swap(log)

    await projector.process(deliveries[6:])

    assert await log.server.client.execute_command("HGETALL", old_key) == old
    await assert_in_step(log)
