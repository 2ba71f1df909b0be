"""A read model written by hand: documents of any content, without a log or a projector."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from events.entry.entry_id import START, EntryId
from events.log.log import EventLog
from projections.read_model.store import Applied, DocumentChange, ReadModelStore
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE


async def live_generation(log: EventLog, read_model: str = ROUTE_TABLE.name) -> str:
    """Return the number of the generation that is live in partition 0."""
    return (await live_documents(log, read_model)).rpartition(":")[2]


async def live_documents(log: EventLog, read_model: str, partition: int = 0) -> str:
    """Return the key of the documents that are live."""
    live: bytes = await log.server.client.execute_command(
        "GET", log.keys.live(partition, read_model)
    )
    return log.keys.documents(partition, read_model, int(live))


async def generations_there(log: EventLog, read_model: str) -> list[int]:
    """Return the generations that have documents in partition 0, oldest first."""
    begin = log.keys.documents(0, read_model, 0).removesuffix("0")
    names = [name async for name in (await log.server.at("")).scan_iter(f"{begin}*", count=1_000)]
    numbers = (name.decode().removeprefix(begin) for name in names)
    return sorted(int(number) for number in numbers if number.isdigit())


class WrittenTable:
    """A route table of one partition, changed by applies that acknowledge nothing."""

    def __init__(self, log: EventLog, partition: int = 0) -> None:
        self.client = log.server.client
        self.keys = log.keys
        self.partition = partition
        self.store: ReadModelStore[Endpoint] = ReadModelStore(
            log.server, log.keys, ROUTE_TABLE, partition
        )
        self.generation = 0
        self.revisions: dict[UUID, int] = {}

    async def begin(self, *endpoints: Endpoint) -> int:
        """Make a new generation of *endpoints* live."""
        seen = await self.store.live_generation()
        await self._append(endpoints)
        generation = await self.store.new_generation()
        documents = [(str(one.endpoint_id), ROUTE_TABLE.encode(one, 1)) for one in endpoints]
        await self.store.write(generation, documents)
        assert await self.store.go_live(generation, seen)
        self.revisions = {one.endpoint_id: 1 for one in endpoints}
        self.generation = generation
        return generation

    async def put(self, *endpoints: Endpoint) -> None:
        """Write new documents of *endpoints*, as a projector does."""
        await self._append(endpoints)
        changes = []
        for one in endpoints:
            revision = self.revisions.get(one.endpoint_id, 0)
            document = ROUTE_TABLE.encode(one, revision + 1)
            changes.append(DocumentChange(str(one.endpoint_id), revision, document, ()))
            self.revisions[one.endpoint_id] = revision + 1
        done = await self.store.apply(self.generation, ROUTE_TABLE.name, changes, ())
        assert done == Applied(stale=False, conflicts={})

    async def _append(self, endpoints: Sequence[Endpoint]) -> None:
        """Let the log have the newest event that each document says it has."""
        events = self.keys.events(self.partition)
        for version in sorted({one.version for one in endpoints} - {START}):
            newest: list[Any] = await self.client.execute_command(
                "XREVRANGE", events, "+", "-", "COUNT", 1
            )
            if not newest or EntryId.parse(newest[0][0]) < version:
                await self.client.call("XADD", events, str(version), "name", "written")

    async def slip(self, endpoint: Endpoint) -> None:
        """Write a newer document that no entry of the change feed tells of."""
        self.revisions[endpoint.endpoint_id] += 1
        document = ROUTE_TABLE.encode(endpoint, self.revisions[endpoint.endpoint_id])
        await self.client.call("HSET", self.documents, str(endpoint.endpoint_id), document)

    async def feed(self) -> list[dict[bytes, bytes]]:
        """Return the entries of the change feed, each with its id."""
        raw: list[Any] = await self.client.execute_command("XRANGE", self.store.changes, "-", "+")
        return [{b"id": one, **dict(zip(flat[::2], flat[1::2], strict=True))} for one, flat in raw]

    async def delete(self) -> None:
        """Delete all that the read model consists of."""
        names = (self.live, self.documents, self.store.changes)
        await self.client.call("DEL", *names, self.keys.generations(self.partition))

    @property
    def live(self) -> str:
        """The key of the live generation's number."""
        return self.keys.live(self.partition, ROUTE_TABLE.name)

    @property
    def documents(self) -> str:
        """The key of the live generation's documents."""
        return self.keys.documents(self.partition, ROUTE_TABLE.name, self.generation)
