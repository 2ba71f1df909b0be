"""Find the read models that wait for a part of the history, and build them without it."""

from collections.abc import Iterable
from typing import Any

from events.log.log import EventLog
from events.log.partition_identity import PartitionIdentity
from events.log.positions import group_holder
from projections.projection import Projection
from projections.read_model.store import ReadModelStore


async def unbuilt(
    log: EventLog,
    partition: int,
    held: PartitionIdentity,
    projections: Iterable[Projection[Any]],
) -> list[ReadModelStore[Any]]:
    """Return those of *projections* that have no live generation, but had one, or a group."""
    found = []
    for projection in projections:
        store = ReadModelStore(log.server, log.keys, projection, partition)
        if await store.live_generation() is None and (
            store.read_model in held.missing or await _was_there(log, store)
        ):
            found.append(store)
    return found


async def _was_there(log: EventLog, store: ReadModelStore[Any]) -> bool:
    call, partition = log.server.client.call, store.partition
    numbers = await call("HEXISTS", log.keys.generations(partition), store.read_model)
    holder = group_holder(store.read_model)
    return bool(numbers) or bool(await call("HEXISTS", log.keys.positions(partition), holder))
