from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from consumers.publishers.snapshot_feed import SnapshotFeed, open_feed
from consumers.publishers.table_snapshot import Revision, TableSnapshot
from events import EventLog
from events.entry.entry_id import EntryId
from events.server.server import now_of
from projections.read_model import ramps
from projections.read_model.reader import ReaderSettings, open_reader
from projections.route_table.endpoint import Endpoint
from tests.support.histories import E, endpoint_of, history, listed, observed, record
from tests.support.read_model import WrittenTable
from tests.support.waiting import wait_until

QUICK = ReaderSettings(block_ms=50, audit_s=3_600)
RUNNING = record(0, status="running", kernel_host="10.0.0.1", kernel_port=80)
R = RUNNING.route_id
FIRST = endpoint_of(history(listed(RUNNING), observed("healthy")))

ENTRY_IDS = st.builds(EntryId, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


@pytest.fixture
async def table(log: EventLog) -> WrittenTable:
    made = WrittenTable(log)
    await made.begin()
    return made


@asynccontextmanager
async def feeding(log: EventLog) -> AsyncIterator[SnapshotFeed]:
    with anyio.fail_after(60):
        async with open_reader(log, QUICK) as reader, open_feed(reader, "a-log", 1) as feed:
            yield feed


def later(endpoint: Endpoint, **changes: object) -> Endpoint:
    return replace(endpoint, version=endpoint.version.after(), **changes)


def destroyed(endpoint: Endpoint) -> Endpoint:
    return later(endpoint, destroyed_at=endpoint.version.after(), routes={})


async def until_newest(feed: SnapshotFeed, version: EntryId) -> TableSnapshot:
    def is_newest() -> bool:
        return feed.newest is not None and feed.newest.revision.newest == (version,)

    await wait_until(is_newest, f"the snapshot of {version}")
    assert feed.newest is not None
    return feed.newest


async def test_a_table_that_never_had_an_endpoint_is_no_snapshot(
    log: EventLog, table: WrittenTable
) -> None:
    async with feeding(log) as feed:
        assert feed.newest is None
        assert feed.problem == "the route table has no endpoint yet"
        await table.put(FIRST)
        snapshot = await feed.after(0)
        assert snapshot.identity == "a-log"
        assert [route.route_id for route in snapshot.endpoints[E].routes] == [RUNNING.route_id]
        assert feed.problem is None


async def test_the_last_endpoint_that_is_destroyed_leaves_an_empty_snapshot(
    log: EventLog, table: WrittenTable
) -> None:
    await table.put(FIRST)
    async with feeding(log) as feed:
        assert (await feed.after(0)).routes == 1
        gone = destroyed(FIRST)
        await table.put(gone)
        snapshot = await until_newest(feed, gone.version)
        assert not snapshot.endpoints


async def test_a_feed_that_begins_with_destroyed_endpoints_alone_has_no_snapshot(
    log: EventLog, table: WrittenTable
) -> None:
    await table.put(destroyed(FIRST))
    async with feeding(log) as feed:
        assert feed.newest is None


async def test_a_snapshot_shows_the_newest_entry_and_what_gets_traffic_by_it(
    log: EventLog, table: WrittenTable
) -> None:
    other = UUID(int=E.int + 1)
    await table.put(FIRST, replace(FIRST, endpoint_id=other))
    async with feeding(log) as feed:
        first = await feed.after(0)
        sequence = feed.sequence
        switched = later(FIRST, traffic_status="inactive")
        await table.put(switched)
        snapshot = await until_newest(feed, switched.version)
        assert feed.sequence > sequence
        assert [len(one.routes) for one in snapshot.endpoints.values()] == [0, 1]
        assert list(snapshot.endpoints) == sorted(snapshot.endpoints)
        assert snapshot.endpoints[other] is first.endpoints[other]


async def test_a_reader_that_holds_a_wiped_table_back_holds_it_back_from_proxies_too(
    log: EventLog, table: WrittenTable
) -> None:
    await table.put(FIRST)
    async with feeding(log) as feed:
        before = await feed.after(0)
        generation = table.generation
        await table.begin()
        assert table.generation > generation
        await wait_until(lambda: feed.problem is not None, "the reader holds it back")
        assert feed.newest == before
        assert "held_back" in str(feed.problem)


@given(st.lists(ENTRY_IDS, min_size=1, max_size=5).map(tuple).map(Revision))
def test_a_revision_is_read_back_as_it_was_printed(revision: Revision) -> None:
    assert Revision.parse(str(revision)) == revision


@given(st.lists(st.tuples(ENTRY_IDS, ENTRY_IDS), min_size=1, max_size=5))
def test_a_joined_revision_shows_what_either_shows(pairs: list[tuple[EntryId, EntryId]]) -> None:
    one, other = (Revision(tuple(ids)) for ids in zip(*pairs, strict=True))
    joined = one.joined(other)
    for partition, pair in enumerate(pairs):
        assert all(joined.shows(partition, entry_id) for entry_id in pair)
        assert joined.newest[partition] in pair
    assert not joined.shows(len(pairs), pairs[0][0])


async def test_a_snapshot_made_of_changes_is_what_a_feed_that_begins_now_has(
    log: EventLog, table: WrittenTable
) -> None:
    endpoints = [replace(FIRST, endpoint_id=UUID(int=100 - n)) for n in range(5)]
    await table.put(*endpoints)
    async with feeding(log) as feed:
        await feed.after(0)
        one, other, third, *_ = endpoints
        newest = FIRST
        for changed in (
            later(one, name="other"),
            destroyed(other),
            replace(FIRST, endpoint_id=UUID(int=50)),
            replace(FIRST, endpoint_id=UUID(int=500)),
            later(third, routes={}),
        ):
            newest = later(newest)
            await table.put(replace(changed, version=newest.version))
            await until_newest(feed, newest.version)
        async with feeding(log) as begun:
            assert await begun.after(0) == feed.newest
        assert feed.newest is not None
        assert list(feed.newest.endpoints) == sorted(feed.newest.endpoints)
        assert feed.newest.destroyed == {other.endpoint_id}


async def test_weights_that_ramp_up_are_published_although_no_event_came(
    log: EventLog, table: WrittenTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ramps, "RAMP_EVERY_S", 0.02)
    now_ms = round((await now_of(log.server)).timestamp() * 1_000)
    started = {R: replace(FIRST.routes[R], started_at=EntryId(now_ms - 4_000, 0))}
    state = replace(FIRST, version=EntryId(now_ms, 0), routes=started)
    await table.put(state)
    slow = replace(QUICK, slow_start_s=20.0)
    with anyio.fail_after(60):
        async with open_reader(log, slow) as reader, open_feed(reader, "a-log", 1) as feed:
            first = await feed.after(0)
            second = await feed.after(feed.sequence)
            snapshots = [first, second, await feed.after(feed.sequence)]
    weights = [one.endpoints[E].routes[0].traffic_ratio for one in snapshots]
    assert weights == sorted(set(weights))
    assert {one.revision for one in snapshots} == {Revision((state.version,))}
