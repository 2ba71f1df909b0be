"""A Backend.AI cluster as its Redis sees it: keys in database 2, then entries in database 4."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec

from consumers.backend_ai.backend_ai_group import SOURCE, backend_ai_consumers, backend_ai_stream
from consumers.backend_ai.backend_ai_stream_settings import BackendAIStreamSettings
from consumers.handlers.handler_consumer import HandlerConsumer
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.server.server import Server
from events.streams.stream_group import read_group
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.handler_group import handling_with
from tests.support.running_consumer import folded_in_order, is_settled
from tests.support.waiting import wait_until

STREAM_DATABASE, LIVE_DATABASE = 4, 2
GROUP = "routestream"
METADATA = b'{"request_id":null,"user":null}'


class Cluster:
    """Writes what the components of Backend.AI write, in their order.

    Attributes:
        settings: With them our group reads it.
        stream: Its stream, as our group sees it.
    """

    def __init__(self, settings: BackendAIStreamSettings, stream: EventLog, live: Server) -> None:
        self.settings = settings
        self.stream = stream
        self._live = live

    async def command(self, database: int, args: Sequence[bytes]) -> None:
        """Carry out a captured command; the name of the stream is this cluster's."""
        server = self.stream.server if database == STREAM_DATABASE else self._live
        is_append = args[0] == b"XADD"
        named = (args[0], self.settings.stream.encode(), *args[2:]) if is_append else tuple(args)
        await server.client.call(*named)

    async def set_key(self, key: str, value: str | bytes) -> None:
        await self._live.client.call("SET", key, value, "EX", "3600")

    async def delete_key(self, key: str) -> None:
        await self._live.client.call("DEL", key)

    async def hand_over(
        self, endpoint_id: UUID, routes: Sequence[dict[str, Any]], app: str = "vllm"
    ) -> None:
        """Write the keys of an endpoint whose routes are not checked."""
        apps = msgspec.json.encode({app: routes} if routes else {})
        await self.set_key(f"endpoint.{endpoint_id}.route_connection_info", apps)
        await self.set_key(f"endpoint.{endpoint_id}.health_check_enabled", "false")

    async def add(self, name: str, *args: str, **fields: str) -> EntryId:
        """Append an event as releases up to 26.8 do."""
        content = {"args": msgspec.msgpack.encode(list(args)), "metadata": METADATA}
        return await self.add_fields({"name": name, "source": "manager", **content, **fields})

    async def add_fields(self, fields: dict[str, str | bytes]) -> EntryId:
        flat = [part for pair in fields.items() for part in pair]
        cut = ("MAXLEN", "~", "128", "*")
        added = await self.stream.server.client.call("XADD", self.settings.stream, *cut, *flat)
        assert isinstance(added, bytes)
        return EntryId.parse(added)

    async def list_routes(
        self, endpoint_id: UUID, *routes: dict[str, Any], **fields: str
    ) -> EntryId:
        """Hand the routes over, then say so."""
        await self.hand_over(endpoint_id, routes)
        return await self.say_list(endpoint_id, **fields)

    async def say_list(self, endpoint_id: UUID, **fields: str) -> EntryId:
        return await self.add("endpoint_route_list_updated", str(endpoint_id), **fields)

    async def say_status(self, session_id: UUID, new_status: str, **fields: str) -> EntryId:
        return await self.add("model_service_status_updated", str(session_id), new_status, **fields)


def route(number: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the route *number* of a list: route 1 has session 101, and so on."""
    return {
        "session_id": str(session_of(number)),
        "route_id": str(UUID(int=number)),
        "kernel_host": "10.0.0.1",
        "kernel_port": 30_000 + number,
        **changes,
    }


def session_of(number: int) -> UUID:
    return UUID(int=100 + number)


@asynccontextmanager
async def cluster(log: EventLog, url: str, **settings: Any) -> AsyncIterator[Cluster]:  # noqa: ANN401
    """Let the block play a cluster with a stream of its own, at *url*, beside *log*."""
    stream = settings.pop("stream", f"events:{log.keys.namespace}")
    given = BackendAIStreamSettings(
        url=url, stream=stream, **{"block_ms": 100, "lease_ms": 1_000, **settings}
    )
    live = Server(given.server_of(LIVE_DATABASE))
    async with backend_ai_stream(log.keys.namespace, given) as opened:
        yield Cluster(given, opened, live)
        await live.aclose()


async def endpoints(log: EventLog) -> dict[UUID, Endpoint]:
    """Fold our log."""
    return await folded_in_order(log, ROUTE_TABLE)


async def recorded(log: EventLog) -> list[str]:
    """Return the wire names of what the group recorded."""
    return [one.event.wire_name async for one in log.read() if one.source == SOURCE]


@asynccontextmanager
async def reading(
    log: EventLog, played: Cluster, name: str = "first"
) -> AsyncIterator[HandlerConsumer]:
    """Run a consumer *name* of our group beside the block, and stop it softly at its end."""
    async with backend_ai_consumers(log, name, played.settings) as [member], handling_with(member):
        yield member


async def until_delivered(played: Cluster) -> None:
    """Return when the group was given all entries; some may still be pending."""

    async def is_delivered() -> bool:
        group = await read_group(played.stream.server.client.call, played.settings.stream, GROUP)
        return group is not None and group.last_delivered >= await played.stream.head(0)

    await wait_until(is_delivered, "the group was given all entries")


async def until_read(played: Cluster, timeout_s: float = 30.0) -> None:
    """Return when the group has read all entries, and ended each."""

    async def is_read() -> bool:
        return await is_settled(played.stream, GROUP)

    await wait_until(is_read, "the group has ended all entries", timeout_s)
