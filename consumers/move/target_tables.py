"""Fold a copy of a log into its read models, as their projectors will do once it is opened."""

from collections.abc import Callable
from typing import Any

import anyio

from consumers.processes.group_process import new_consumer_name
from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.projector import Projector
from events.entry.entry_id import START, EntryId
from events.log.log import EventLog
from events.move import NotMovedError
from events.streams.stream_group import read_settled
from projections.catalogue import READ_MODELS
from projections.projection import Projection
from projections.read_model.store import ReadModelStore
from projections.replay.comparison import compare
from projections.replay.folding import Folding
from projections.replay.partition_history import extent_of
from projections.replay.replay import replay

PARTITIONS_AT_ONCE = 4
"""Partitions that are folded at a time."""

STUCK_S = 60.0
"""Seconds without any progress after which the move is given up."""

_LOOK_EVERY_S = 0.01
_SETTINGS = ConsumerSettings(block_ms=100)

Table = tuple[Projection[Any], int]
"""A read model in one partition."""


async def fold_tables(log: EventLog) -> None:
    """Fold all that is new in *log* into every read model, and keep the groups' positions.

    Raises:
        NotMovedError: A projector makes no progress.
    """
    await _each_table(log, lambda table: _fold(log, *table))


async def check_tables(log: EventLog) -> int:
    """Compare every document with an independent fold; return how many were compared.

    Raises:
        NotMovedError: Some differ.
    """
    counts = []

    async def check(table: Table) -> None:
        projection, partition = table
        folding = Folding(projection, partition)
        await replay(log, folding, (await extent_of(log, partition)).last)
        store = ReadModelStore(log.server, log.keys, projection, partition)
        comparison = await compare(log, store, folding)
        if not comparison.agrees:
            wrong = [one.endpoint_id for one in comparison.mismatches] + comparison.undecided
            raise NotMovedError(
                f"{len(wrong)} documents of {projection.read_model} in partition {partition} are"
                f" not what their events fold to, one of them of endpoint {wrong[0]}"
            )
        counts.append(comparison.endpoints)

    await _each_table(log, check)
    return sum(counts)


async def _each_table(log: EventLog, run: "Callable[[Table], Any]") -> None:
    """Call *run* for each read model in each partition, some at a time."""
    limiter = anyio.CapacityLimiter(PARTITIONS_AT_ONCE)

    async def run_limited(table: Table) -> None:
        async with limiter:
            await run(table)

    async with anyio.create_task_group() as tasks:
        for projection in READ_MODELS.values():
            for partition in range(log.partitions):
                tasks.start_soon(run_limited, (projection, partition))


async def _fold(log: EventLog, projection: Projection[Any], partition: int) -> None:
    store = ReadModelStore(log.server, log.keys, projection, partition)
    head = await log.head(partition)
    if await store.live_generation() is not None and await _settled(log, *store_at(store)) >= head:
        return
    projector = Projector(log, projection, partition, _SETTINGS.policy)
    name = (projection.read_model, new_consumer_name())
    consumer = Consumer(log, partition, name, projector, _SETTINGS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consumer.run)
        await _until_settled(log, store, head)
        await consumer.stop()


def store_at(store: ReadModelStore[Any]) -> tuple[int, str]:
    """Return the partition and the read model of *store*."""
    return store.partition, store.read_model


async def _until_settled(log: EventLog, store: ReadModelStore[Any], head: EntryId) -> None:
    """Wait until all up to *head* is folded, as long as there is progress."""
    settled, deadline = START, anyio.current_time() + STUCK_S
    while True:
        now = await _settled(log, *store_at(store))
        if now >= head and await store.live_generation() is not None:
            return
        if now > settled:
            settled, deadline = now, anyio.current_time() + STUCK_S
        if anyio.current_time() > deadline:
            raise NotMovedError(
                f"{store.read_model} does not get beyond {settled} in partition {store.partition}"
                f" of {log.keys.namespace!r}; the log's lines of this command say why"
            )
        await anyio.sleep(_LOOK_EVERY_S)


async def _settled(log: EventLog, partition: int, group: str) -> EntryId:
    stream = log.keys.events(partition)
    return await read_settled(log.server.client.call, stream, group) or START
