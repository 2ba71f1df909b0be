"""Say why a read model has no live generation."""

from collections.abc import Iterable
from typing import Any

from events.log.keys import Keys
from events.log.partition_identity import read_partition_identity
from events.server.reply import Ask
from projections.errors import WAY_OUT, NoLiveGenerationError
from projections.projection import Projection


async def no_live_generation(
    ask: Ask,
    keys: Keys,
    projection: Projection[Any],
    partitions: Iterable[int],
    where: str = "",
) -> NoLiveGenerationError:
    """Return the error for a read model that is not live in *partitions*, with its cause."""
    told = f"read model {projection.read_model} has no live generation{where}"
    for partition in partitions:
        held = await read_partition_identity(ask, keys, partition)
        missing = held.missing.get(projection.read_model)
        if missing is not None:
            return NoLiveGenerationError(f"{told}; history missing: {missing.cause}; {WAY_OUT}")
    return NoLiveGenerationError(
        f"{told}; `routestream consume {projection.read_model}` builds it from the log"
    )
