"""The log as Redis has it, read by no code of ours."""

from collections.abc import AsyncIterator
from typing import Any

from events.entry.recorded import Entry
from events.log.keys import Keys
from tests.soak.verdict import entry_of

_READ_COUNT = 5_000


async def read_log(redis: Any, keys: Keys, partitions: int) -> list[Entry]:  # noqa: ANN401
    """Return all entries of all partitions."""
    return [entry for p in range(partitions) async for entry in _read_partition(redis, keys, p)]


async def _read_partition(redis: Any, keys: Keys, partition: int) -> AsyncIterator[Entry]:  # noqa: ANN401
    start = "-"
    while True:
        raw = await redis.xrange(keys.events(partition), start, "+", _READ_COUNT)
        for entry_id, fields in raw:
            yield entry_of(entry_id, fields, partition)
        if len(raw) < _READ_COUNT:
            return
        start = f"({raw[-1][0].decode()}"
