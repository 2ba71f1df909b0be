from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from uuid import UUID, uuid4

import anyio
import pytest
from msgspec.structs import replace

from consumers.processes.embedded import EmbeddedServer
from events import EventLog, open_log
from events.catalogue.health_check import HealthCheck
from events.log.keys import partition_of
from projections.read_model.reader import ReaderSettings, RouteTableReader, open_reader
from projections.route_table.endpoint import Endpoint
from tests.support.histories import (
    E,
    created,
    destroyed,
    endpoint_of,
    history,
    listed,
    observed,
    record,
)
from tests.support.log_lines import captured_lines
from tests.support.read_model import WrittenTable
from tests.support.waiting import wait_until

QUICK = ReaderSettings(block_ms=50, audit_s=3_600)
AUDITING = ReaderSettings(block_ms=20, audit_s=0.02)
RUNNING = record(0, status="running", kernel_host="10.0.0.1", kernel_port=80)
FIRST = replace(endpoint_of(history(listed(RUNNING), observed("healthy"))), name="v1")


def named(name: str, endpoint_id: UUID = E) -> Endpoint:
    return replace(FIRST, name=name, endpoint_id=endpoint_id)


@pytest.fixture
async def table(log: EventLog) -> WrittenTable:
    made = WrittenTable(log)
    await made.begin(FIRST)
    return made


@asynccontextmanager
async def reading(
    log: EventLog, settings: ReaderSettings = QUICK
) -> AsyncIterator[RouteTableReader]:
    with anyio.fail_after(60):
        async with open_reader(log, settings) as reader:
            yield reader


async def until_named(reader: RouteTableReader, name: str, endpoint_id: UUID = E) -> None:
    def is_named() -> bool:
        known = reader.endpoint(endpoint_id)
        return known is not None and known.name == name

    await wait_until(is_named, f"the reader has {name}")


async def until_aged(reader: RouteTableReader, more_than_s: float) -> None:
    await wait_until(lambda: reader.age_s > more_than_s, f"the table is {more_than_s} s old")


async def until_young(reader: RouteTableReader, less_than_s: float) -> None:
    await wait_until(lambda: reader.age_s < less_than_s, "the table is fresh again")


async def test_the_whole_table_is_there_from_the_first_moment(
    log: EventLog, table: WrittenTable
) -> None:
    others = [named(f"name {n}", UUID(int=1_000 + n)) for n in range(1_200)]
    await table.put(*others)
    async with reading(log) as reader:
        assert reader.endpoint(E) == FIRST
        assert {one.endpoint_id: one for one in reader.endpoints()} == {
            one.endpoint_id: one for one in [FIRST, *others]
        }
        assert [route.route_id for route in reader.routable(E)] == [RUNNING.route_id]
        assert reader.generations == (table.generation,)
        assert reader.age_s < 10


async def test_an_endpoint_that_is_not_known_has_no_routes(
    log: EventLog, table: WrittenTable
) -> None:
    async with reading(log) as reader:
        new = uuid4()
        assert (reader.endpoint(new), reader.routable(new)) == (None, ())
        await table.put(named("new", new))
        await until_named(reader, "new", new)
        assert len(reader.routable(new)) == 1


async def test_a_change_is_followed_and_wakes_who_waits(log: EventLog, table: WrittenTable) -> None:
    async with reading(log) as reader, anyio.create_task_group() as tasks:
        assert len(reader.routable(E)) == 1
        woken = anyio.Event()

        async def wait() -> None:
            await reader.changed()
            woken.set()

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        without = endpoint_of(history(listed()))
        await table.put(without)
        await woken.wait()
        assert reader.endpoint(E) == without
        assert reader.routable(E) == ()


async def test_many_changes_in_a_row_end_with_the_newest(
    log: EventLog, table: WrittenTable
) -> None:
    async with reading(log) as reader:
        for number in range(1_300):
            await table.put(named(f"v{number}"))
        await until_named(reader, "v1299")


async def test_a_reader_waits_for_a_read_model_that_is_not_there_yet(log: EventLog) -> None:
    reader = RouteTableReader(log.server, log.keys, 1, QUICK)
    started = anyio.Event()
    async with anyio.create_task_group() as tasks:

        async def start() -> None:
            await tasks.start(reader.run)
            started.set()

        tasks.start_soon(start)
        await anyio.wait_all_tasks_blocked()
        assert (reader.age_s, reader.generations, started.is_set()) == (inf, (0,), False)
        await WrittenTable(log).begin(FIRST)
        with anyio.fail_after(20):
            await started.wait()
        assert reader.endpoint(E) == FIRST
        tasks.cancel_scope.cancel()


async def test_a_gap_in_the_feed_is_noticed_and_everything_is_loaded_anew(
    log: EventLog, table: WrittenTable
) -> None:
    silent = uuid4()
    await table.put(named("old", silent))
    with captured_lines() as logs:
        async with reading(log) as reader:
            await table.slip(named("new", silent))
            fields = ("previous", "1-1", "generation", table.generation, "changes", f"{E} 1")
            await table.client.call("XADD", table.store.changes, "*", *fields)
            await until_named(reader, "new", silent)
    assert "table_reloaded" in [line["event"] for line in logs]


async def test_another_generation_is_taken_over_as_a_whole(
    log: EventLog, table: WrittenTable
) -> None:
    gone = uuid4()
    await table.put(named("gone", gone))
    async with reading(log, replace(QUICK, block_ms=120_000)) as reader:
        await table.begin(named("v2"))
        await until_named(reader, "v2")
        assert reader.generations == (table.generation,)
        assert reader.endpoint(gone) is None
        await table.put(named("v3"))
        await until_named(reader, "v3")


async def test_a_generation_that_no_feed_told_of_is_noticed(
    log: EventLog, table: WrittenTable
) -> None:
    async with reading(log) as reader:
        document = table.store.projection.encode(named("quiet"), 1)
        await table.store.write(7, [(str(E), document)])
        await table.client.call("SET", table.live, 7)
        await until_named(reader, "quiet")
        assert reader.generations == (7,)


async def test_while_the_read_model_is_gone_the_last_good_table_is_kept(
    log: EventLog, table: WrittenTable
) -> None:
    async with reading(log) as reader:
        await table.delete()
        await until_aged(reader, 0.3)
        assert reader.endpoint(E) == FIRST
        assert len(reader.routable(E)) == 1
        await table.begin(named("v2"))
        await until_named(reader, "v2")
        await until_young(reader, 0.3)


async def test_while_documents_are_missing_the_last_good_table_is_kept(
    log: EventLog, table: WrittenTable
) -> None:
    async with reading(log) as reader:
        await table.client.call("DEL", table.documents)
        # An entry that continues another one lets the reader load everything anew.
        fields = ("previous", "1-1", "generation", table.generation, "changes", f"{E} 1")
        await table.client.call("XADD", table.store.changes, "*", *fields)
        await until_aged(reader, 0.3)
        assert reader.endpoint(E) == FIRST
        assert len(reader.routable(E)) == 1
        await table.begin(named("v2"))
        await until_named(reader, "v2")


async def test_while_redis_is_away_the_last_good_table_is_kept_and_then_caught_up(
    own_server: EmbeddedServer, namespace: str
) -> None:
    async with open_log(own_server.url, namespace=namespace) as log:
        table = WrittenTable(log)
        await table.begin(FIRST)
        async with reading(log) as reader:
            own_server.kill()
            await until_aged(reader, 0.3)
            assert reader.endpoint(E) == FIRST
            assert len(reader.routable(E)) == 1
            own_server.start()
            await until_young(reader, 0.3)
            await table.put(named("v2"))
            await until_named(reader, "v2")


async def test_a_change_made_while_the_reader_was_cut_off_is_caught_up(
    own_server: EmbeddedServer, namespace: str
) -> None:
    async with open_log(own_server.url, namespace=namespace) as log:
        table = WrittenTable(log)
        await table.begin(FIRST)
        async with reading(log) as reader:
            await table.client.call("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")
            await table.put(named("v2"))
            await until_named(reader, "v2")


async def test_an_audit_mends_what_changed_without_a_word_in_the_feed(
    log: EventLog, table: WrittenTable
) -> None:
    with captured_lines() as logs:
        async with reading(log, AUDITING) as reader:
            await table.slip(named("slipped"))
            await until_named(reader, "slipped")
            assert reader.repairs == 1
    [line] = [line for line in logs if line["event"] == "table_repaired"]
    assert line["endpoints"] == [str(E)]


async def test_an_audit_beside_a_busy_feed_has_nothing_to_mend(
    log: EventLog, table: WrittenTable
) -> None:
    async with reading(log, AUDITING) as reader:
        for number in range(600):
            await table.put(named(f"v{number}"))
        await until_named(reader, "v599")
        assert reader.repairs == 0


async def test_several_partitions_are_one_table(redis_url: str, namespace: str) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=3) as log:
        tables = [WrittenTable(log, partition) for partition in range(3)]
        for table in tables:
            await table.begin()
        async with reading(log) as reader:
            ids = [uuid4() for _ in range(30)]
            for one in ids:
                await tables[partition_of(one, 3)].put(named("there", one))
            for one in ids:
                await until_named(reader, "there", one)
            assert {one.endpoint_id for one in reader.endpoints()} == set(ids)
            assert reader.generations == tuple(table.generation for table in tables)


async def test_the_age_is_that_of_the_oldest_partition(redis_url: str, namespace: str) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=2) as log:
        tables = [WrittenTable(log, partition) for partition in range(2)]
        for table in tables:
            await table.begin()
        async with reading(log) as reader:
            await tables[1].delete()
            await until_aged(reader, 0.3)


def seen_by(reader: RouteTableReader, requests: int) -> list[UUID | None]:
    found = [reader.choose(E) for _ in range(requests)]
    return [None if route is None else route.route_id for route in found]


async def test_requests_are_shared_out_by_the_weights_that_are_live(
    log: EventLog, table: WrittenTable
) -> None:
    records = [
        record(n, status="running", kernel_host="10.0.0.1", kernel_port=80, traffic_ratio=weight)
        for n, weight in enumerate((3.0, 1.0))
    ]
    await table.put(endpoint_of(history(created(name="two"), listed(*records))))
    a, b = (one.route_id for one in records)
    async with reading(log) as reader:
        await until_named(reader, "two")
        assert seen_by(reader, 4) == [a, b, a, a]
        assert len({reader.choose(E, key="user-7") for _ in range(4)}) == 1
        with reader.least_loaded(E) as first, reader.least_loaded(E) as second:
            assert first is not None
            assert second is not None
        assert reader.choose(uuid4()) is None
        await table.put(endpoint_of(history(created(name="none"), listed())))
        await until_named(reader, "none")
        assert (seen_by(reader, 1), reader.choose(E, key="user-7")) == ([None], None)
        with reader.least_loaded(E) as route:
            assert route is None


async def test_turns_are_kept_until_the_endpoint_is_destroyed(
    log: EventLog, table: WrittenTable
) -> None:
    async with reading(log) as reader:
        assert seen_by(reader, 2) == [RUNNING.route_id] * 2
        assert list(reader._balancer.endpoints) == [E]
        await table.put(endpoint_of(history(created(name="gone"), destroyed())))
        await until_named(reader, "gone")
        assert list(reader._balancer.endpoints) == []


async def test_the_panic_threshold_is_the_readers(log: EventLog, table: WrittenTable) -> None:
    sick = endpoint_of(history(listed(RUNNING), observed("unhealthy")))
    checked = replace(sick, health_check=HealthCheck(path="/health"))
    await table.put(checked)
    async with reading(log) as calm, reading(log, replace(QUICK, panic_threshold=0.5)) as panics:
        assert calm.routable(E) == ()
        assert len(panics.routable(E)) == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"block_ms": 0}, "block_ms must be at least 10, got 0"),
        ({"audit_s": 0}, "audit_s must be at least 0.01, got 0"),
        ({"panic_threshold": 1.1}, "panic_threshold must be at most 1, got 1.1"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    settings: dict[str, float], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(QUICK, **settings)


async def test_a_generation_that_is_gone_before_the_first_change_is_told(
    log: EventLog, table: WrittenTable
) -> None:
    with captured_lines() as logs:
        async with reading(log, ReaderSettings(block_ms=500)) as reader:
            await table.delete()
            await wait_until(
                lambda: "generation_missing" in [one["event"] for one in logs], "it says so"
            )
            known = reader.endpoint(E)
    assert known == FIRST
    assert [one["event"] for one in logs] == ["table_reloaded", "generation_missing"]


async def test_the_age_is_how_far_the_table_is_behind_the_log(
    log: EventLog, table: WrittenTable
) -> None:
    async with reading(log) as reader:
        await until_young(reader, 5)
        assert reader.folded_up_to == (FIRST.version,)
        [entry_id] = (await log.append(created(endpoint_id=E))).entry_ids
        # Redis answers all the time, and nobody folds.
        await until_aged(reader, 2.5)
        assert reader.state == "following"
        await table.put(replace(FIRST, name="later", version=entry_id))
        await until_named(reader, "later")
        await until_young(reader, 2)
        assert reader.folded_up_to == (entry_id,)
