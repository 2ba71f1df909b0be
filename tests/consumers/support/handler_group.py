"""What the tests of handler groups stand on: consumers of them, and what their tries left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import anyio

from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.handlers.handler_settings import HandlerSettings
from consumers.handlers.handler_work import HandlerWork
from consumers.handlers.lease import Lease
from consumers.runtime.outcome import RetryPolicy
from consumers.runtime.processor import Handler
from events.catalogue.event import Event
from events.catalogue.route import RouteTrafficRatioUpdatedEvent
from events.entry.entry_id import START, EntryId
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog
from tests.support.running_consumer import GROUP
from tests.support.waiting import wait_until

QUICK_TRIES = RetryPolicy(tries_max=3, first_s=0.01, most_s=0.02)

PROMPT = HandlerSettings(deadline_s=10.0, policy=QUICK_TRIES, lease_ms=600, block_ms=100)
"""For tests that let leases end."""

LASTING = HandlerSettings(deadline_s=10.0, policy=QUICK_TRIES, lease_ms=60_000, block_ms=100)
"""For tests in which no lease may end by itself."""


def handler_consumer_of(
    log: EventLog,
    handler: Handler,
    *,
    name: str = "first",
    settings: HandlerSettings = LASTING,
    wanted: frozenset[str] | None = None,
    start: EntryId = START,
) -> HandlerConsumer:
    return HandlerConsumer(log, 0, (GROUP, name), HandlerWork(handler, wanted, start), settings)


def call_of_end(consumer: str) -> bytes:
    """Return what the request of a round has in it that ends one entry of *consumer*."""
    return f"{consumer}\r\n$1\r\n1\r\n".encode()


@asynccontextmanager
async def handling_with(*consumers: HandlerConsumer) -> AsyncIterator[None]:
    """Run *consumers* beside the block, and stop them softly at its end."""
    async with anyio.create_task_group() as tasks:
        for consumer in consumers:
            tasks.start_soon(consumer.run)
        yield
        with anyio.fail_after(20):
            for consumer in consumers:
                await consumer.stop()


async def append(log: EventLog, *events: Event) -> list[EntryId]:
    return list((await log.append(*events)).entry_ids)


def lease_of(log: EventLog, name: str, lease_ms: int = 60_000) -> Lease:
    return Lease(log.server, log.keys, 0, (GROUP, name), lease_ms)


async def owner(log: EventLog, group: str = GROUP) -> str:
    """Return the name of the consumer that owns the partition, empty for none."""
    held = await log.server.client.execute_command("GET", log.keys.lease(0, group))
    return "" if held is None else held.decode().partition(" ")[2].rpartition("#")[0]


async def until_owned(log: EventLog, name: str, group: str = GROUP) -> None:
    async def owned() -> bool:
        return await owner(log, group) == name

    await wait_until(owned, f"{name} owns the partition")


async def tries(log: EventLog, group: str = GROUP) -> dict[EntryId, tuple[int, int]]:
    """Return tries begun and failures of every entry of which some are noted."""
    raw = await log.server.client.execute_command("HGETALL", log.keys.tries(0, group))
    return {
        EntryId.parse(entry_id): (int(noted.split()[0]), int(noted.split()[1]))
        for entry_id, noted in raw.items()
    }


def steps(endpoint_id: UUID, count: int) -> list[Event]:
    """Return *count* events of one endpoint; the weights tell them apart."""
    return [
        RouteTrafficRatioUpdatedEvent(
            endpoint_id=endpoint_id, route_id=endpoint_id, traffic_ratio=step / count
        )
        for step in range(count)
    ]


def in_order(handled: list[RecordedEvent]) -> dict[UUID, list[EntryId]]:
    """Return the entries that were handled, in that order, for each endpoint."""
    found: dict[UUID, list[EntryId]] = {}
    for recorded in handled:
        found.setdefault(recorded.endpoint_id, []).append(recorded.entry_id)
    return found
