from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from consumers.errors import UnreachableProxyError
from consumers.publishers.proxy_ledger import (
    REFUSALS_MAX,
    ProxyLedger,
    ProxyNotes,
    Refusal,
    open_ledger,
    read_proxies,
)
from consumers.publishers.pushing import push
from consumers.publishers.snapshot_feed import SnapshotFeed, open_feed
from consumers.publishers.table_snapshot import TableSnapshot
from events import EventLog
from projections.read_model.reader import open_reader
from tests.consumers.publishers.test_snapshot_feed import FIRST, QUICK, later
from tests.support.read_model import WrittenTable
from tests.support.waiting import wait_until


class Proxy:
    """A proxy in memory, which can be unreachable, and can lose what it has."""

    def __init__(self, notes: ProxyNotes) -> None:
        self.notes = notes
        self.held: TableSnapshot | None = None
        self.calls: list[bool] = []
        self.is_away = False

    async def publish(self, snapshot: TableSnapshot, *, whole: bool) -> None:
        self.calls.append(whole)
        if self.is_away:
            raise UnreachableProxyError("it hangs up")
        self.notes.sent(snapshot.revision)
        self.held = snapshot
        self.notes.acknowledged(snapshot.revision)


@pytest.fixture
async def table(log: EventLog) -> WrittenTable:
    made = WrittenTable(log)
    await made.begin(FIRST)
    return made


@asynccontextmanager
async def pushing(
    log: EventLog, *, reconcile_s: float = 3_600
) -> AsyncIterator[tuple[SnapshotFeed, Proxy]]:
    with anyio.fail_after(60):
        async with (
            open_reader(log, QUICK) as reader,
            open_feed(reader, "a-log", 1) as feed,
            anyio.create_task_group() as tasks,
        ):
            proxy = Proxy(ProxyLedger(log, "kind").proxy("one"))
            tasks.start_soon(lambda: push(feed, proxy, reconcile_s=reconcile_s))
            yield feed, proxy
            tasks.cancel_scope.cancel()


async def test_a_proxy_is_compared_whole_at_the_start_and_then_given_each_change(
    log: EventLog, table: WrittenTable
) -> None:
    async with pushing(log) as (feed, proxy):
        await wait_until(lambda: proxy.held is not None, "the first snapshot")
        await table.put(changed := later(FIRST, name="other"))
        await wait_until(
            lambda: proxy.held is not None and proxy.held.revision.newest == (changed.version,),
            "the change",
        )
        assert proxy.calls[0] is True
        assert not any(proxy.calls[1:])
        assert proxy.held == feed.newest


async def test_a_proxy_is_compared_whole_again_although_nothing_changes(
    log: EventLog, table: WrittenTable
) -> None:
    assert table.generation
    async with pushing(log, reconcile_s=0.05) as (_, proxy):
        await wait_until(lambda: proxy.calls.count(True) >= 3, "three whole comparisons")


async def test_a_proxy_that_was_away_is_told_and_compared_whole_when_it_is_back(
    log: EventLog, table: WrittenTable
) -> None:
    async with pushing(log) as (_, proxy):
        await wait_until(lambda: proxy.held is not None, "the first snapshot")
        proxy.is_away = True
        await table.put(changed := later(FIRST, name="other"))
        await wait_until(lambda: proxy.notes.state.problem is not None, "it is away")
        assert proxy.notes.state.problem == "it hangs up"
        proxy.calls.clear()
        proxy.is_away = False
        await wait_until(lambda: proxy.notes.state.problem is None, "it is back")
        assert proxy.notes.state.acknowledged == str(changed.version)
        assert all(proxy.calls)


async def test_the_ledger_keeps_what_each_proxy_has_acknowledged_and_refused(
    log: EventLog, table: WrittenTable
) -> None:
    await table.put(FIRST)
    refusals = [Refusal(f"route {n}", "a weight of 0.5 cannot be said") for n in range(25)]
    async with pushing(log) as (feed, _), open_ledger(log, "kind") as ledger:
        revision = (await feed.after(0)).revision
        ledger.proxy("far").unreachable("refused")
        notes = ledger.proxy("near")
        notes.sent(revision)
        notes.acknowledged(revision, refusals)

        async def is_written() -> bool:
            return [one.refused for one in await read_proxies(log)] == [0, 25]

        await wait_until(is_written, "both are written down")
    far, near = await read_proxies(log)
    assert (far.publisher, far.proxy, far.problem) == ("kind", "far", "refused")
    assert near.acknowledged == near.sent == str(revision)
    assert near.refusals == tuple(refusals[:REFUSALS_MAX])
    assert not near.is_behind


async def test_a_damaged_note_hides_no_other(log: EventLog) -> None:
    async with open_ledger(log, "kind") as ledger:
        ledger.proxy("one").unreachable("refused")
        await log.server.client.call("HSET", log.keys.proxies, "kind two", "{")

        async def is_written() -> bool:
            return bool(await read_proxies(log))

        await wait_until(is_written, "it is written down")
    assert [one.proxy for one in await read_proxies(log)] == ["one"]
