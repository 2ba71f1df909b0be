"""One endpoint whose receiver fails, with a backlog: the events of others must not wait for it."""

from random import Random
from time import monotonic
from uuid import UUID, uuid4

import anyio
from msgspec.structs import replace

from events.log.keys import partition_of
from tests.soak.deployment import HELD_MAX, PARTITIONS, Deployment
from tests.soak.journal import Journal
from tests.soak.producer import Producer
from tests.support.histories import observed

DELAY_MAX_S = 45.0
"""How long another endpoint's event may take; other faults hold it up as well, not only this."""

_BACKLOG = 3 * HELD_MAX
_AT_ONCE = 100
_PROBES = 3
_AGAIN_S = 0.1
_APPEND_S = 60.0


async def endpoint_fails(deployment: Deployment, random: Random) -> str:
    failing = uuid4()
    other = _neighbour_of(failing)
    partition = partition_of(failing, PARTITIONS)
    journal = Journal(deployment.folder / f"failing-{failing}.journal")
    producer = Producer(deployment.log, journal, f"failing-{failing}", random)
    deployment.receiver.failing.add(failing)
    slowest_s = 0.0
    try:
        for _ in range(_BACKLOG // _AT_ONCE):
            await _append(producer, failing, _AT_ONCE)
        for _ in range(_PROBES):
            entry_id = await _append(producer, other, 1)
            began_at = monotonic()
            with anyio.move_on_after(DELAY_MAX_S):
                await deployment.receiver.until_taken(partition, entry_id)
            slowest_s = max(slowest_s, monotonic() - began_at)
    finally:
        deployment.receiver.failing.discard(failing)
        journal.close()
    if slowest_s >= DELAY_MAX_S:
        deployment.complaints.append(
            f"{_BACKLOG} events of {failing}, which fails, held an event of {other} up for more"
            f" than {DELAY_MAX_S:g} s in partition {partition}"
        )
    return f"{failing} with {_BACKLOG} events, those of {other} came within {slowest_s:.1f} s"


def _neighbour_of(endpoint_id: UUID) -> UUID:
    """Return another endpoint of the same partition."""
    partition = partition_of(endpoint_id, PARTITIONS)
    while partition_of(other := uuid4(), PARTITIONS) != partition:
        pass
    return other


async def _append(producer: Producer, endpoint_id: UUID, count: int) -> str:
    """Append until it is acknowledged; return the last entry."""
    events = [
        replace(observed("unhealthy", consecutive_failures=n + 1), endpoint_id=endpoint_id)
        for n in range(count)
    ]
    with anyio.fail_after(_APPEND_S):
        while not await producer.append(events):  # noqa: ASYNC110 - nobody tells when
            await anyio.sleep(_AGAIN_S)
    return str(producer.head_of(endpoint_id))
