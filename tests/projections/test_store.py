from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from events import EntryId, EventLog, RouteTerminatingEvent
from projections.errors import NoLiveGenerationError
from projections.read_model.generations import CHANGES_MAX
from projections.read_model.store import Applied, DocumentChange, ReadModelStore
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.read_model import WrittenTable
from tests.support.waiting import wait_until

GROUP = "route-table"
DONE = Applied(stale=False, conflicts={})


@pytest.fixture
async def table(log: EventLog) -> WrittenTable:
    made = WrittenTable(log)
    await made.begin()
    return made


@pytest.fixture
async def delivered(log: EventLog) -> list[EntryId]:
    """Six entries that are pending with a consumer of the group."""
    endpoint = uuid4()
    events = [RouteTerminatingEvent(endpoint_id=endpoint, route_id=uuid4()) for _ in range(6)]
    ids = (await log.append(*events)).entry_ids
    stream, call = log.keys.events(0), log.server.client.execute_command
    await call("XGROUP", "CREATE", stream, GROUP, "0")
    await call("XREADGROUP", "GROUP", GROUP, "me", "STREAMS", stream, ">")
    return list(ids)


def endpoint(endpoint_id: UUID, name: str = "first") -> Endpoint:
    return Endpoint(endpoint_id=endpoint_id, name=name)


def change(
    endpoint_id: UUID, revision: int, name: str = "first", entry_ids: Sequence[EntryId] = ()
) -> DocumentChange:
    document = ROUTE_TABLE.encode(endpoint(endpoint_id, name), revision + 1)
    return DocumentChange(str(endpoint_id), revision, document, entry_ids)


async def pending(log: EventLog) -> list[EntryId]:
    raw = await log.server.client.execute_command(
        "XPENDING", log.keys.events(0), GROUP, "-", "+", 100
    )
    return [EntryId.parse(entry_id) for entry_id, *_ in raw]


async def all_documents(
    store: ReadModelStore[Endpoint], generation: int
) -> dict[UUID, tuple[int, str | None]]:
    return {
        state.endpoint_id: (revision, state.name)
        async for revision, state in store.load_all(generation)
    }


async def test_an_apply_writes_documents_and_acknowledges_what_led_to_them(
    log: EventLog, table: WrittenTable, delivered: list[EntryId]
) -> None:
    one, other = uuid4(), uuid4()
    changes = [change(one, 0, "one", delivered[:2]), change(other, 0, "other", delivered[2:3])]
    assert await table.store.apply(table.generation, GROUP, changes, delivered[3:5]) == DONE
    assert await all_documents(table.store, table.generation) == {
        one: (1, "one"),
        other: (1, "other"),
    }
    assert await pending(log) == delivered[5:]


async def test_nothing_is_applied_of_an_entry_that_is_another_event_in_this_history(
    log: EventLog, table: WrittenTable, delivered: list[EntryId]
) -> None:
    [[newest]] = [one async for one in log.read_entries(0, delivered[-1])]
    of_another = (table.generation, GROUP, [change(uuid4(), 0)], delivered)
    assert (await table.store.apply(*of_another, b"another event")).gone
    assert await pending(log) == delivered
    assert await all_documents(table.store, table.generation) == {}
    assert await table.store.apply(*of_another, newest.event_id) == DONE


async def test_an_apply_with_nothing_to_write_only_acknowledges(
    log: EventLog, table: WrittenTable, delivered: list[EntryId]
) -> None:
    before = await table.feed()
    assert await table.store.apply(table.generation, GROUP, [], delivered) == DONE
    assert await pending(log) == []
    assert await table.feed() == before


@pytest.mark.parametrize("seen", [0, 1, 2, 11, 13, 120])
async def test_a_document_at_another_revision_is_a_conflict_and_tells_what_is_there(
    log: EventLog, table: WrittenTable, delivered: list[EntryId], seen: int
) -> None:
    one, other = uuid4(), uuid4()
    for name in [*["before"] * 11, "twelfth"]:
        await table.put(endpoint(one, name))
    changes = [change(one, seen, "lost", delivered[:2]), change(other, 0, "new", delivered[2:3])]
    applied = await table.store.apply(table.generation, GROUP, changes, delivered[3:4])
    assert not applied.stale
    assert set(applied.conflicts) == {str(one)}
    there = applied.conflicts[str(one)]
    assert there is not None
    assert ROUTE_TABLE.decode(there) == (12, endpoint(one, "twelfth"))
    assert await all_documents(table.store, table.generation) == {
        one: (12, "twelfth"),
        other: (1, "new"),
    }
    assert await pending(log) == [*delivered[:2], *delivered[4:]]


async def test_a_document_that_is_gone_is_a_conflict_with_nothing_there(
    log: EventLog, table: WrittenTable, delivered: list[EntryId]
) -> None:
    one = uuid4()
    applied = await table.store.apply(table.generation, GROUP, [change(one, 4, "x", delivered)], [])
    assert applied.conflicts == {str(one): None}
    assert await all_documents(table.store, table.generation) == {}
    assert await pending(log) == delivered


async def test_a_generation_that_is_not_live_is_not_written_and_nothing_is_acknowledged(
    log: EventLog, table: WrittenTable, delivered: list[EntryId]
) -> None:
    one = uuid4()
    before = table.generation
    after = await table.begin() + 1
    feed = await table.feed()
    changes = [change(one, 0, "x", delivered[:1])]
    for stale in (before, after):
        applied = await table.store.apply(stale, GROUP, changes, delivered[1:])
        assert applied == Applied(stale=True, conflicts={})
        assert await all_documents(table.store, stale) == {}
    assert await pending(log) == delivered
    assert await table.feed() == feed


async def test_without_a_live_generation_nothing_is_applied(
    log: EventLog, table: WrittenTable, delivered: list[EntryId]
) -> None:
    await table.delete()
    applied = await table.store.apply(table.generation, GROUP, [change(uuid4(), 0)], delivered)
    assert applied.stale
    assert await pending(log) == delivered


async def test_each_apply_adds_one_entry_to_the_feed_that_names_the_one_before(
    table: WrittenTable,
) -> None:
    one, other = uuid4(), uuid4()
    await table.put(endpoint(one), endpoint(other))
    await table.put(endpoint(other))
    await table.store.apply(table.generation, GROUP, [change(one, 7)], [])
    feed = await table.feed()
    assert [entry[b"changes"].decode() for entry in feed] == [
        *("", f"{one} 1 {other} 1", f"{other} 2"),
    ]
    assert {int(entry[b"generation"]) for entry in feed} == {table.generation}
    assert [entry[b"previous"] for entry in feed] == [b"", *(entry[b"id"] for entry in feed[:-1])]
    assert await table.store.last_change() == feed[-1][b"id"]


async def test_the_feed_is_bounded_and_its_chain_goes_on(table: WrittenTable) -> None:
    one = endpoint(uuid4())
    for _ in range(CHANGES_MAX + 300):
        await table.put(one)
    feed = await table.feed()
    assert CHANGES_MAX <= len(feed) < CHANGES_MAX + 300
    assert feed[-1][b"previous"] == feed[-2][b"id"]


async def test_many_documents_are_changed_in_one_step(table: WrittenTable) -> None:
    many = [endpoint(UUID(int=number), f"name {number}") for number in range(1_500)]
    await table.put(*many)
    await table.put(*many)
    wanted = {one.endpoint_id: (2, one.name) for one in many}
    assert await all_documents(table.store, table.generation) == wanted
    loaded = await table.store.load(table.generation, [str(one.endpoint_id) for one in many])
    assert [state for _, state in loaded.values()] == many
    [*_, last] = await table.feed()
    assert len(last[b"changes"].split()) == 2 * 1_500


async def test_many_entries_are_acknowledged_in_one_step(
    log: EventLog, table: WrittenTable
) -> None:
    endpoint_id = uuid4()
    event = RouteTerminatingEvent(endpoint_id=endpoint_id, route_id=uuid4())
    ids = [i for _ in range(5) for i in (await log.append(*[event] * 2_000)).entry_ids]
    stream, call = log.keys.events(0), log.server.client.execute_command
    await call("XGROUP", "CREATE", stream, GROUP, "0")
    await call("XREADGROUP", "GROUP", GROUP, "me", "STREAMS", stream, ">")
    changes = [change(endpoint_id, 0, "x", ids[:6_000])]
    assert await table.store.apply(table.generation, GROUP, changes, ids[6_000:]) == DONE
    assert await pending(log) == []


async def test_an_apply_waits_for_a_pause_and_goes_on_through_the_next(
    log: EventLog, table: WrittenTable, delivered: list[EntryId]
) -> None:
    one = uuid4()
    await table.store.pause(2, 2.0)
    await log.server.client.call("CONFIG", "RESETSTAT")
    async with anyio.create_task_group() as tasks:
        changes = [change(one, 0, "x", delivered)]
        tasks.start_soon(table.store.apply, table.generation, GROUP, changes)
        await wait_until(lambda: asked_to_apply(log), "the apply was asked for")
        assert await all_documents(table.store, table.generation) == {}
        assert await pending(log) == delivered
        await table.store.pause(2, 3_600.0)
    assert await all_documents(table.store, table.generation) == {one: (1, "x")}
    assert await pending(log) == []


async def asked_to_apply(log: EventLog) -> bool:
    stats: dict[str, Any] = await log.server.client.execute_command("INFO", "commandstats")
    return "cmdstat_evalsha" in stats or "cmdstat_eval" in stats


async def test_whether_a_generation_is_whole_is_told_during_a_pause(table: WrittenTable) -> None:
    await table.store.pause(2, 3_600.0)
    assert await table.store.apply(table.generation, GROUP) == DONE


async def test_a_pause_ends_with_the_change_over(log: EventLog, table: WrittenTable) -> None:
    await table.store.pause(2, 3_600.0)
    generation = await table.store.new_generation()
    head = await log.head(0)
    assert await table.store.swap(generation, table.generation, head, [], 0) == "live"
    table.generation = generation
    with anyio.fail_after(60):
        await table.put(endpoint(uuid4()))


async def test_of_two_writers_that_saw_one_revision_one_writes(table: WrittenTable) -> None:
    one = uuid4()
    outcomes: list[Applied] = []

    async def write(number: int) -> None:
        changes = [change(one, 0, str(number))]
        outcomes.append(await table.store.apply(table.generation, GROUP, changes, []))

    async with anyio.create_task_group() as writers:
        for number in range(10):
            writers.start_soon(write, number)
    assert sum(not applied.conflicts for applied in outcomes) == 1
    assert (await all_documents(table.store, table.generation))[one][0] == 1


async def test_a_swap_is_done_if_the_live_generation_is_the_one_that_was_seen(
    table: WrittenTable,
) -> None:
    store = table.store
    first, second, third = table.generation, *[await store.new_generation() for _ in range(2)]
    assert first < second < third
    assert await store.go_live(second, first)
    assert not await store.go_live(third, first)
    assert not await store.go_live(third, None)
    assert await store.live_generation() == second
    assert await store.go_live(third, second)
    feed = await table.feed()
    assert [int(entry[b"generation"]) for entry in feed] == [first, second, third]
    assert [entry[b"previous"] for entry in feed] == [b"", *(entry[b"id"] for entry in feed[:-1])]


async def test_a_generation_that_is_discarded_is_gone_and_its_number_is_not_used_again(
    table: WrittenTable,
) -> None:
    generation = await table.store.new_generation()
    await table.store.write(generation, [("x", b"y")])
    await table.store.discard(generation)
    assert await all_documents(table.store, generation) == {}
    assert await table.store.new_generation() > generation


async def test_numbers_of_generations_do_not_come_again_when_those_given_out_are_forgotten(
    table: WrittenTable,
) -> None:
    numbers = [table.generation]
    for _ in range(100):
        await table.client.call("DEL", table.keys.generations(0))
        numbers.append(await table.store.new_generation())
    ahead = numbers[-1] + 10**12
    await table.client.call("HSET", table.keys.generations(0), ROUTE_TABLE.name, ahead)
    numbers += [ahead, *[await table.store.new_generation() for _ in range(2)]]
    assert numbers == sorted(set(numbers))


async def test_a_missing_read_model_says_what_builds_it(log: EventLog) -> None:
    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
    assert await store.live_generation() is None
    with pytest.raises(NoLiveGenerationError, match="`routestream consume route-table` builds it"):
        await store.live_document("x")


async def test_an_endpoint_without_a_document_has_none(table: WrittenTable) -> None:
    one = uuid4()
    assert await table.store.live_document(str(one)) is None
    await table.put(endpoint(one))
    assert await table.store.live_document(str(one)) == (1, endpoint(one))


async def test_a_generation_that_lost_a_document_takes_no_more(table: WrittenTable) -> None:
    kept, lost = (ROUTE_TABLE.initial(uuid4()) for _ in range(2))
    await table.put(kept, lost)
    await table.client.call("HDEL", table.documents, str(lost.endpoint_id))
    again = DocumentChange(str(lost.endpoint_id), 0, ROUTE_TABLE.encode(lost, 1), ())

    done = await table.store.apply(table.generation, "group", [again])

    assert done == Applied(stale=False, conflicts={}, lost=True)
    assert await table.client.execute_command("HLEN", table.documents) == 1


async def test_only_the_live_generation_can_be_retired(table: WrittenTable) -> None:
    await table.store.retire(table.generation + 1)
    assert await table.store.live_generation() == table.generation

    await table.store.retire(table.generation)
    assert await table.store.live_generation() is None


async def test_a_build_that_began_before_another_was_live_does_not_go_live(
    table: WrittenTable,
) -> None:
    began_at = await table.store.last_change()
    generation = await table.store.new_generation()
    await table.put(ROUTE_TABLE.initial(uuid4()))
    await table.store.retire(table.generation)

    assert not await table.store.go_live(generation, None, began_at)
    assert await table.store.live_generation() is None
    assert await table.store.go_live(generation, None, await table.store.last_change())
