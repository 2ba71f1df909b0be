"""The health documents: what the health-state read model holds of some endpoints."""

from collections.abc import Iterable
from uuid import UUID

from events.log.keys import partition_of
from events.log.log import EventLog
from events.log.partitions import ask_each
from projections.health_state.endpoint_health import EndpointHealth
from projections.health_state.health_state import HEALTH_STATE
from projections.read_model.store import ReadModelStore


async def read_documents(
    log: EventLog, endpoints: Iterable[UUID]
) -> dict[int, dict[UUID, EndpointHealth] | None]:
    """Return the live documents of *endpoints*, by their partitions.

    A partition without a live generation has None.
    """
    own: dict[int, list[str]] = {}
    for one in endpoints:
        own.setdefault(partition_of(one, log.partitions), []).append(str(one))

    async def ask(partition: int) -> dict[UUID, EndpointHealth] | None:
        store = ReadModelStore(log.server, log.keys, HEALTH_STATE, partition)
        generation = await store.live_generation()
        if generation is None:
            return None
        loaded = await store.load(generation, own[partition])
        return {UUID(one): state for one, (_, state) in loaded.items()}

    return await ask_each(sorted(own), ask)
