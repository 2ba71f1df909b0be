"""What a stranger writes against the installed packages; it is type-checked, and then run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import assert_type
from uuid import UUID, uuid4

import anyio

from consumers import TryLaterError
from events import (
    START,
    AppendableLog,
    ConflictError,
    EndpointCreatedEvent,
    EntryId,
    EventLog,
    EventsError,
    History,
    ReadableLog,
    RecordedEvent,
    RouteRecord,
    fold,
    open_history,
    open_log,
)
from events.testing import MemoryLog
from producers import EndpointExistsError, EndpointService
from projections import ROUTE_TABLE, Endpoint, Route, RouteTableReader, open_reader, routable

CHAT = uuid4()


class Addresses:
    """A reader of the stranger's own: where each endpoint's requests may go."""

    def __init__(self, log: ReadableLog) -> None:
        self._log = log
        self._endpoints: dict[UUID, Endpoint] = {}

    async def follow(self, last: EntryId) -> None:
        """Read on until *last* was read."""
        async for recorded in self._log.follow(START):
            assert_type(recorded, RecordedEvent)
            endpoint_id = recorded.endpoint_id
            before = self._endpoints.get(endpoint_id, ROUTE_TABLE.initial(endpoint_id))
            self._endpoints[endpoint_id] = fold(ROUTE_TABLE.evolve, before, [recorded])
            if recorded.entry_id >= last:
                return

    def of(self, endpoint_id: UUID) -> list[str]:
        """Return host and port of each route that gets traffic."""
        routes = routable(self._endpoints[endpoint_id])
        assert_type(routes, tuple[Route, ...])
        return [f"{route.kernel_host}:{route.kernel_port}" for route in routes]


async def serve(log: AppendableLog) -> EntryId:
    """Record an endpoint with one route that runs."""
    service = EndpointService(log)
    created = EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="llama")
    await service.create(created)
    try:
        await service.create(created)
    except EndpointExistsError as error:
        assert_type(error, EndpointExistsError)
    route = RouteRecord(
        route_id=uuid4(), session_id=uuid4(), kernel_host="10.0.0.1", kernel_port=8000
    )
    await service.create_route(CHAT, route)
    recorded = await service.start_route(CHAT, route)
    try:
        await log.append(created, expected=START)
    except ConflictError as error:
        print("conflict at", error.head == recorded.entry_ids[-1])
    return recorded.entry_ids[-1]


async def test_in_memory() -> None:
    """Run the stranger's code without a server."""
    log = MemoryLog()
    addresses = Addresses(log)
    await addresses.follow(await serve(log))
    print("addresses", addresses.of(CHAT))


@asynccontextmanager
async def deployed(url: str) -> AsyncIterator[Addresses]:
    """Open the same on a server: checked, not run."""
    async with (
        open_log(url, namespace="prod", partitions=4) as log,
        open_history(url, "/var/archive", namespace="prod") as history,
        open_reader(log) as reader,
        open_reader(url, namespace="prod"),
    ):
        assert_type(log, EventLog)
        assert_type(history, History)
        assert_type(reader, RouteTableReader)
        await serve(log)
        yield Addresses(history)


async def handle(recorded: RecordedEvent) -> None:
    """Handle an event, as a group's handler does."""
    if isinstance(recorded.event, EndpointCreatedEvent):
        raise TryLaterError("busy", after_s=1.0)


if __name__ == "__main__":
    try:
        anyio.run(test_in_memory)
    except EventsError as error:
        raise SystemExit(str(error)) from error
