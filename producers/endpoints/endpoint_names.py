"""Gives a name to one endpoint at a time, so that it names what a person means."""

from uuid import UUID

from events.catalogue.endpoint import EndpointCreatedEvent, EndpointDestroyedEvent
from events.entry import codec
from events.entry.entry_id import START
from events.log.log import EventLog
from events.log.protocol import AppendableLog
from events.server.reply import reply
from producers.endpoints.endpoint_state import EndpointStates
from producers.errors import ContendedEndpointError, NameTakenError
from projections.errors import NoLiveGenerationError
from projections.route_table.endpoint import Endpoint
from projections.route_table.lookup import live_endpoints, whole_id

CLAIM_MS = 10_000
"""How long a name is kept for an endpoint whose creation is not in the log yet."""

TRIES_MAX = 5
_ALL_KNOWN = ""
"""The field that is set once all endpoints of a read model have their names; no name is empty."""


class EndpointNames:
    """The names of a log's endpoints.

    An endpoint that others create by an append of their own is not asked for its name: two may
    share one then, which `routestream endpoints ls` tells. Their ids name them.
    """

    def __init__(self, log: AppendableLog, states: EndpointStates) -> None:
        self._log = log
        self._states = states

    async def claim(self, event: EndpointCreatedEvent) -> None:
        """Take the event's name for its endpoint; an endpoint that is destroyed has none.

        Raises:
            InvalidEventError: A field breaks its limits.
            NameTakenError: Another endpoint has the name.
            ContendedEndpointError: Others kept claiming it.
        """
        codec.check(event)
        if isinstance(self._log, EventLog):
            await self._log.endpoint_head(event.endpoint_id)  # it knows where the log is now
            await self._claim_on_server(self._log.current, event)
            return
        names: dict[UUID, str] = {}
        async for recorded in self._log.read():
            if isinstance(recorded.event, EndpointCreatedEvent):
                names.setdefault(recorded.endpoint_id, recorded.event.name)
            elif isinstance(recorded.event, EndpointDestroyedEvent):
                names[recorded.endpoint_id] = ""
        for holder, name in names.items():
            if name == event.name and holder != event.endpoint_id:
                raise NameTakenError(event.name, holder)

    async def _claim_on_server(self, log: EventLog, event: EndpointCreatedEvent) -> None:
        await _know_all(log)
        script = log.server.client.script("producers.endpoints", "claim_name")
        taken_from = ""
        for _ in range(TRIES_MAX):
            args = [event.name, str(event.endpoint_id), taken_from]
            held = reply(await script([log.keys.names], args), list[bytes | int])
            if not held:
                return
            holder, age_ms = reply(held, tuple[bytes, int])
            taken_from = holder.decode()
            endpoint_id = whole_id(taken_from)
            if endpoint_id is not None and await self._keeps(endpoint_id, event.name, age_ms):
                raise NameTakenError(event.name, endpoint_id)
        raise ContendedEndpointError(f"others kept claiming the name {event.name!r}; try again")

    async def _keeps(self, endpoint_id: UUID, name: str, age_ms: int) -> bool:
        """Whether the endpoint has the name, or claimed it so lately that it may get it yet."""
        endpoint, _ = await self._states.read(endpoint_id)
        if endpoint.version <= START:
            return 0 <= age_ms < CLAIM_MS
        return _has(endpoint, name)


async def _know_all(log: EventLog) -> None:
    """Note, once for a log, the names of the endpoints that were created before names were."""
    client, key = log.server.client, log.keys.names
    if await client.call("HEXISTS", key, _ALL_KNOWN):
        return
    try:
        async for _, endpoint in live_endpoints(log):
            if endpoint.name and _has(endpoint, endpoint.name):
                await client.call("HSETNX", key, endpoint.name, f"{endpoint.endpoint_id} 0")
    except NoLiveGenerationError:
        return
    await client.call("HSET", key, _ALL_KNOWN, 1)


def _has(endpoint: Endpoint, name: str) -> bool:
    return endpoint.name == name and not endpoint.is_destroyed
