"""What the tests of the consumers stand on: events, handlers that count, what Redis has."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import anyio

from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.dead_letters import DeadEntry, DeadLetters
from consumers.runtime.outcome import RetryPolicy
from consumers.runtime.processor import Handler, HandlerProcessor, Processor
from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.event import Event
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTrafficRatioUpdatedEvent,
)
from events.entry.entry_id import START, EntryId
from events.entry.recorded import RecordedEvent
from events.errors import NoGroupError
from events.log.log import EventLog
from projections.projection import Projection
from tests.support.waiting import wait_until

GROUP = "a-group"
QUICK = ConsumerSettings(
    batch_size=100,
    block_ms=100,
    claim_idle_ms=300,
    policy=RetryPolicy(tries_max=3, first_s=0.01, most_s=0.02),
)
UNCLAIMED = ConsumerSettings(
    batch_size=100, block_ms=100, claim_idle_ms=600_000, policy=QUICK.policy
)
"""For tests in which nothing may be claimed from another consumer."""


def created(endpoint_id: UUID | None = None) -> EndpointCreatedEvent:
    return EndpointCreatedEvent(
        endpoint_id=endpoint_id or uuid4(), name="an endpoint", model="a model"
    )


def life_of(endpoint_id: UUID) -> list[Event]:
    """Return what happens to an endpoint of two routes: six events."""
    first, second = (
        RouteRecord(route_id=uuid4(), session_id=uuid4(), kernel_host="10.0.0.1", kernel_port=port)
        for port in (30_000, 30_001)
    )
    return [
        created(endpoint_id),
        EndpointRouteListUpdatedEvent(endpoint_id=endpoint_id, routes=(first, second)),
        RouteStartedEvent(
            endpoint_id=endpoint_id,
            route_id=first.route_id,
            session_id=first.session_id,
            kernel_host="10.0.0.1",
            kernel_port=30_000,
        ),
        ModelServiceStatusEvent(
            endpoint_id=endpoint_id, route_id=first.route_id, new_status="healthy"
        ),
        RouteTrafficRatioUpdatedEvent(
            endpoint_id=endpoint_id, route_id=second.route_id, traffic_ratio=0.25
        ),
        ModelServiceStatusEvent(
            endpoint_id=endpoint_id, route_id=second.route_id, new_status="unhealthy"
        ),
    ]


async def append(log: EventLog, count: int = 1) -> list[EntryId]:
    """Append the creation of so many new endpoints, in one step."""
    return list((await log.append(*(created() for _ in range(count)))).entry_ids)


async def fill(log: EventLog, endpoints: int) -> list[UUID]:
    """Append the lives of so many new endpoints, each event in turn for all of them."""
    ids = [uuid4() for _ in range(endpoints)]
    for step in zip(*(life_of(one) for one in ids), strict=True):
        await log.append(*step)
    return ids


class Handling:
    """A handler that notes what it is given, and fails as it is told.

    Attributes:
        calls: How often each entry was given to it.
        handled: The entries that it handled, in its order.
        failures: What it raises for an entry, as long as it is there.
    """

    def __init__(self) -> None:
        self.calls: Counter[EntryId] = Counter()
        self.handled: list[EntryId] = []
        self.failures: dict[EntryId, Exception] = {}
        self.before: Callable[[RecordedEvent], Awaitable[None]] | None = None

    async def __call__(self, recorded: RecordedEvent) -> None:
        self.calls[recorded.entry_id] += 1
        if self.before is not None:
            await self.before(recorded)
        if recorded.entry_id in self.failures:
            raise self.failures[recorded.entry_id]
        self.handled.append(recorded.entry_id)

    async def until_handled(self, *entry_ids: EntryId) -> None:
        async def all_there() -> bool:
            return set(entry_ids) <= set(self.handled)

        await wait_until(all_there, f"{len(entry_ids)} entries handled")


def consumer_of(
    log: EventLog,
    processor: Processor | Handler,
    *,
    group: str = GROUP,
    name: str = "first",
    settings: ConsumerSettings = QUICK,
) -> Consumer:
    if isinstance(processor, Handling):
        processor = HandlerProcessor(processor, settings.policy)
    assert not callable(processor)
    return Consumer(log, 0, (group, name), processor, settings)


@asynccontextmanager
async def consuming(*consumers: Consumer) -> AsyncIterator[None]:
    """Run *consumers* beside the block, and stop them softly at its end."""
    async with anyio.create_task_group() as tasks:
        for consumer in consumers:
            tasks.start_soon(consumer.run)
        yield
        with anyio.fail_after(20):
            for consumer in consumers:
                await consumer.stop()


@asynccontextmanager
async def dying(consumer: Consumer) -> AsyncIterator[None]:
    """Run *consumer* beside the block, and cut it off at its end, as the end of a process does."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consumer.run)
        yield
        tasks.cancel_scope.cancel()


async def add_raw(log: EventLog, *fields: bytes) -> EntryId:
    """Add an entry of any fields to the log, past our own way in."""
    added = await log.server.client.execute_command("XADD", log.keys.events(0), "*", *fields)
    return EntryId.parse(added)


async def deliver(log: EventLog, name: str, count: int, group: str = GROUP) -> list[EntryId]:
    """Read for the consumer *name*, which does nothing more: the entries stay pending with it."""
    reply = await log.server.client.execute_command(
        *("XREADGROUP", "GROUP", group, name, "COUNT", count, "STREAMS", log.keys.events(0), ">")
    )
    return [EntryId.parse(entry_id) for entry_id, _ in reply[0][1]] if reply else []


async def create_group(log: EventLog, group: str = GROUP) -> None:
    await log.server.client.call(
        "XGROUP", "CREATE", log.keys.events(0), group, str(START), "MKSTREAM"
    )


async def make_idle(log: EventLog, name: str, ids: Sequence[EntryId], group: str = GROUP) -> None:
    """Let *ids* have been idle with *name* for an hour."""
    await log.server.client.call(
        *("XCLAIM", log.keys.events(0), group, name, 0, *map(str, ids)),
        *("IDLE", 3_600_000, "RETRYCOUNT", 1, "JUSTID"),
    )


async def pending(log: EventLog, group: str = GROUP) -> dict[EntryId, tuple[str, int]]:
    """Return for each pending entry its consumer and its deliveries."""
    raw = await log.server.client.execute_command(
        "XPENDING", log.keys.events(0), group, "-", "+", 1_000_000
    )
    return {EntryId.parse(entry): (name.decode(), times) for entry, name, _, times in raw}


async def members(log: EventLog, group: str = GROUP) -> list[str]:
    """Return the names of the group's consumers."""
    raw = await log.server.client.execute_command("XINFO CONSUMERS", log.keys.events(0), group)
    return [one["name"].decode() for one in raw]


async def is_settled(log: EventLog, group: str) -> bool:
    """Whether the group was given all there is, and nothing is pending."""
    try:
        groups = await log.server.client.execute_command("XINFO GROUPS", log.keys.events(0))
    except NoGroupError:
        return False
    known = {one["name"].decode(): one for one in groups}.get(group)
    if known is None or known["pending"]:
        return False
    return EntryId.parse(known["last-delivered-id"]) >= await log.head(0)


async def until_settled(log: EventLog, group: str = GROUP) -> None:
    async def settled() -> bool:
        return await is_settled(log, group)

    await wait_until(settled, f"the group {group} has nothing left to do")


async def dead_letters(log: EventLog, group: str = GROUP) -> list[DeadEntry]:
    return [dead async for dead in DeadLetters(log.server, log.keys, 0, group).read()]


async def until_dead(log: EventLog, count: int, group: str = GROUP) -> list[DeadEntry]:
    async def there() -> bool:
        return len(await dead_letters(log, group)) >= count

    await wait_until(there, f"{count} dead letters")
    return await dead_letters(log, group)


async def documents(log: EventLog, projection: Projection[Any]) -> dict[UUID, tuple[int, Any]]:
    """Return revision and state of every document of the live generation."""
    client = log.server.client
    live = await client.execute_command("GET", log.keys.live(0, projection.name))
    if live is None:
        return {}
    raw = await client.execute_command("HGETALL", log.keys.documents(0, projection.name, int(live)))
    return {UUID(endpoint.decode()): projection.decode(doc) for endpoint, doc in raw.items()}


async def states(log: EventLog, projection: Projection[Any]) -> dict[UUID, Any]:
    return {one: state for one, (_, state) in (await documents(log, projection)).items()}


async def folded_in_order(log: EventLog, projection: Projection[Any]) -> dict[UUID, Any]:
    """Fold the log here, event after event: what the read model has to be."""
    found: dict[UUID, Any] = {}
    async for recorded in log.read():
        before = found.get(recorded.endpoint_id) or projection.initial(recorded.endpoint_id)
        found[recorded.endpoint_id] = projection.evolve(before, recorded)
    return found
