"""Rebuilds of a read model while 2,000 events a second arrive, and readers that watch it."""

from random import Random
from time import monotonic
from uuid import UUID, uuid4

import anyio

from events import EventLog, open_log
from projections.read_model.reader import ReaderSettings, open_reader
from projections.replay.folding import Folding
from projections.replay.rebuild import Rebuild, Rebuilt, rollback
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.appending import anything
from tests.support.projectors import member, store_of
from tests.support.running_consumer import consuming, until_settled
from tests.support.told import Told
from tests.support.waiting import wait_until
from tests.support.watching import Watching

EVENTS_PER_S = 2_000
LOAD_S = 8
APPENDED_AT_ONCE = 50
ENDPOINTS = 100


class Load:
    """Appends at a rate that does not wait for anybody, and keeps what it was told."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._random = Random(7)
        self._endpoints = [uuid4() for _ in range(ENDPOINTS)]
        self.told = Told()
        self.is_over = False

    async def run(self) -> None:
        began_at = monotonic()
        total = EVENTS_PER_S * LOAD_S
        for sent in range(0, total, APPENDED_AT_ONCE):
            await anyio.sleep(max(0.0, began_at + sent / EVENTS_PER_S - monotonic()))
            of = self._random.choices(self._endpoints, k=APPENDED_AT_ONCE)
            events = [anything(self._random, endpoint_id) for endpoint_id in of]
            self.told.note(events, (await self._log.append(*events)).entry_ids)
        self.is_over = True


async def rebuild_while(log: EventLog, load: Load) -> list[Rebuilt]:
    """Rebuild and go back, again and again, as long as events arrive."""
    done: list[Rebuilt] = []
    while not load.is_over:
        done.append(await Rebuild(log, store_of(log), Folding(ROUTE_TABLE, 0)).run())
        done.append(await rollback(log, store_of(log)))
    return done


async def documents(log: EventLog) -> dict[UUID, bytes]:
    live = await store_of(log).live_generation()
    assert live is not None
    raw = await log.server.client.execute_command(
        "HGETALL", log.keys.documents(0, ROUTE_TABLE.name, live)
    )
    return {UUID(endpoint.decode()): document for endpoint, document in raw.items()}


async def test_no_reader_sees_a_document_go_back_at_2000_events_a_second(
    log: EventLog, redis_url: str
) -> None:
    async with (
        open_log(redis_url, namespace=log.keys.namespace) as other,
        consuming(member(log, ROUTE_TABLE, "one"), member(other, ROUTE_TABLE, "other")),
    ):
        await until_settled(log, ROUTE_TABLE.name)
        load = Load(other)
        async with (
            open_reader(log, ReaderSettings(block_ms=50, audit_s=0.5)) as one_reader,
            open_reader(other, ReaderSettings(block_ms=50, audit_s=30.0)) as other_reader,
            anyio.create_task_group() as watchers,
        ):
            watching = [Watching(reader) for reader in (one_reader, other_reader)]
            for one in watching:
                watchers.start_soon(one.run)
            async with anyio.create_task_group() as producers:
                producers.start_soon(load.run)
                done = await rebuild_while(log, load)
            await until_settled(log, ROUTE_TABLE.name)
            heads = load.told.heads()
            await wait_until(
                lambda: all(one.versions() == heads for one in watching), "both readers have all"
            )
            watchers.cancel_scope.cancel()
    assert [one.went_back for one in watching] == [[], []]
    assert len(load.told.events) == EVENTS_PER_S * LOAD_S
    assert done[0].position < load.told.head(), "the first rebuild was over before the load was"
    assert [one.comparison.mismatches for one in done if one.comparison] == [[]] * len(done)
    assert load.told.wrong(ROUTE_TABLE.name, await documents(log)) == []
