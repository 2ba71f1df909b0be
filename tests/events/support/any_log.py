"""Both kinds of log, opened alike: what the conformance tests stand on."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Literal, Protocol
from uuid import UUID, uuid4

from events import EventLog, open_log
from events.catalogue.route import RouteTrafficRatioUpdatedEvent
from events.entry.entry_id import EntryId
from events.log.keys import partition_of
from events.log.protocol import AppendableLog
from events.server.reply import reply
from events.testing import MemoryLog

Kind = Literal["redis", "memory"]
KINDS: tuple[Kind, ...] = ("redis", "memory")
ROUTE = uuid4()


class AddEntry(Protocol):
    """Adds an entry as another program would, by XADD or what stands for it."""

    async def __call__(self, partition: int, fields: Mapping[bytes, bytes]) -> EntryId: ...


class AnyLog:
    def __init__(self, log: AppendableLog, add_entry: AddEntry) -> None:
        self.log = log
        self.add_entry = add_entry


@asynccontextmanager
async def open_any_log(kind: Kind, redis_url: str, partitions: int = 1) -> AsyncIterator[AnyLog]:
    if kind == "memory":
        memory = MemoryLog(partitions=partitions, source="test")
        yield AnyLog(memory, memory.add_entry)
        return
    namespace = f"any-{uuid4().hex[:12]}"
    async with open_log(
        redis_url, namespace=namespace, partitions=partitions, source="test"
    ) as opened:
        yield AnyLog(opened, xadd_to(opened))


def xadd_to(log: EventLog) -> AddEntry:
    async def xadd(partition: int, fields: Mapping[bytes, bytes]) -> EntryId:
        strings = [part for field in fields.items() for part in field]
        key = log.keys.events(partition)
        added = await log.server.client.call("XADD", key, "*", *strings)
        return EntryId.parse(reply(added, bytes))

    return xadd


def ratio(endpoint_id: UUID, traffic_ratio: float = 0.5) -> RouteTrafficRatioUpdatedEvent:
    return RouteTrafficRatioUpdatedEvent(
        endpoint_id=endpoint_id, route_id=ROUTE, traffic_ratio=traffic_ratio
    )


def endpoint_in(partition: int, partitions: int) -> UUID:
    """Return a new endpoint whose events lie on *partition*."""
    return next(one for one in iter(uuid4, None) if partition_of(one, partitions) == partition)


async def lengths(log: AppendableLog) -> list[int]:
    """Return how many entries each partition has."""
    return [
        sum([len(chunk) async for chunk in log.read_entries(partition)])
        for partition in range(log.partitions)
    ]
