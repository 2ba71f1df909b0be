"""A reader goes on at the place that its log has moved to, without a gap and without going back."""

from uuid import UUID

import anyio
import anyio.lowlevel
import pytest

from events import EntryId, EventLog, RouteTrafficRatioUpdatedEvent, open_log
from events.history.history import History
from events.log.layout import LogPlace
from events.move import LogChangeOver, LogCopy, open_target
from projections.catalogue import READ_MODELS
from projections.read_model import moving_table
from projections.read_model.reader import ReaderSettings, open_reader
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.replay.folding import Folding
from projections.replay.rebuild import Rebuild
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.histories import ROUTES, E, created, listed, record
from tests.support.waiting import wait_until

QUICK = ReaderSettings(block_ms=50)
RUNNING = record(0, status="running", kernel_host="10.0.0.1", kernel_port=80)


async def move_with_tables(source: EventLog, namespace: str, partitions: int) -> EventLog:
    target = await open_target(History(source), source.server, namespace, partitions, create=True)
    copy = LogCopy(History(source), target, lambda _count, _at: None)
    await copy.begin()
    change = LogChangeOver(source, target, LogPlace(namespace))
    async with change.sealed():
        await copy.copy(await change.ends())
        await build_all(target)
        await change.commit(await change.ends())
    return target


async def build_all(log: EventLog) -> None:
    for projection in READ_MODELS.values():
        for partition in range(log.partitions):
            await build(log, ReadModelStore(log.server, log.keys, projection, partition))


async def test_a_reader_follows_its_log_and_always_has_a_table(
    redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving_table, "LOOK_FOR_MOVE_S", 0.02)
    seen: list[tuple[EntryId, int]] = []

    async with open_log(redis_url, namespace=namespace) as log:
        await log.append(created(), listed(RUNNING))
        await build_all(log)
        async with (
            open_reader(redis_url, QUICK, namespace=namespace) as reader,
            anyio.create_task_group() as tasks,
        ):

            async def look() -> None:
                while True:
                    endpoint = reader.endpoint(E)
                    assert endpoint is not None
                    seen.append((endpoint.version, len(reader.routable(E))))
                    await anyio.lowlevel.checkpoint()

            tasks.start_soon(look)
            await move_with_tables(log, f"{namespace}-b", 3)
            await wait_until(lambda: len(reader.generations) == 3, "the reader has followed")
            assert [one.endpoint_id for one in reader.endpoints()] == [E]
            await log.append(ratio(ROUTES[0]))
            target = log.current
            await rebuild_all(target)

            await wait_until(
                lambda: reader.routable(E)[0].traffic_ratio == 0.25,
                "what is recorded at the new place arrives",
            )
            tasks.cancel_scope.cancel()
    assert {routes for _, routes in seen} == {1}
    assert [version for version, _ in seen] == sorted(version for version, _ in seen)


async def rebuild_all(log: EventLog) -> None:
    """Let what is new be in the read model, as its projector does."""
    for partition in range(log.partitions):
        store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, partition)
        await Rebuild(log, store, Folding(ROUTE_TABLE, partition)).run()


def ratio(route_id: UUID) -> RouteTrafficRatioUpdatedEvent:
    return RouteTrafficRatioUpdatedEvent(endpoint_id=E, route_id=route_id, traffic_ratio=0.25)
