"""Writes to the Redis that Backend.AI's components share: hand-off keys, events, broadcasts."""

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit, urlunsplit

import anyio

from consumers.errors import UnreachableProxyError
from consumers.publishers.backend_ai.handoff_entry import HandoffEntry
from consumers.publishers.backend_ai.settings import BackendAISettings
from events.entry.entry_id import EntryId
from events.errors import NoGroupError, ServerRefusedError, ServerUnavailableError
from events.server.reply import reply
from events.server.server import Server
from events.server.settings import ServerSettings
from events.streams.stream_group import read_group, read_pending
from producers.backend_ai.wire import (
    CHANNEL,
    STREAM,
    RouteListUpdated,
    StatusUpdated,
    anycast_fields,
    broadcast_text,
)

GROUP = "appproxy-coordinator"
"""The group by which coordinators read the stream."""

SOURCE = "routestream"
"""How our events are told apart from a manager's."""

_LIVE_DATABASE = 2
_STREAM_DATABASE = 4
_LOOK_EVERY_S = 0.02
_PENDING_MAX = 10_000
_CLOSE_TIMEOUT_S = 1.0


class CoreRedis:
    """The two databases of the hand-off; `open_core_redis` makes it.

    Its methods raise UnreachableProxyError where the server does not carry a command out.
    """

    def __init__(self, live: Server, stream: Server, settings: BackendAISettings) -> None:
        self._stream = stream
        self._write = live.client.script("consumers.publishers.backend_ai", "write_handoff")
        self._settings = settings

    async def write_keys(self, entry: HandoffEntry) -> None:
        """Set the keys of one endpoint, all in one step; each expires, whoever goes away."""
        with _as_unreachable():
            await self._write(
                [*entry.values, *entry.absent], [self._settings.expiry_s, *entry.values.values()]
            )

    async def append(self, event: RouteListUpdated | StatusUpdated, revision: str) -> EntryId:
        """Append *event* for one member of each group; return its entry."""
        fields = anycast_fields(event, SOURCE, self._settings.wire_format, revision)
        flat = [part for field in fields.items() for part in field]
        with _as_unreachable():
            added = await self._stream.client.call(
                *("XADD", STREAM, "MAXLEN", "~", self._settings.stream_max, "*", *flat)
            )
        return EntryId.parse(reply(added, bytes))

    async def broadcast(self, event: StatusUpdated, revision: str) -> None:
        """Tell *event* to every component that listens."""
        text = broadcast_text(event, SOURCE, self._settings.wire_format, revision)
        with _as_unreachable():
            await self._stream.client.call("PUBLISH", CHANNEL, text)

    async def is_waiting(self, entry_id: EntryId) -> bool:
        """Whether the entry is there, and no coordinator has read it yet."""
        with _as_unreachable():
            if await self._delivered() >= entry_id:
                return False
            name = str(entry_id)
            found = await self._stream.client.call("XRANGE", STREAM, name, name)
        return bool(found)

    async def until_read(self, entry_id: EntryId, within_s: float) -> None:
        """Wait until a coordinator has read the entry, and all before it.

        Raises:
            UnreachableProxyError: None has, within *within_s*.
        """
        with _as_unreachable():
            with anyio.move_on_after(within_s):
                while await self._delivered() < entry_id:  # noqa: ASYNC110 - Redis tells of no group
                    await anyio.sleep(_LOOK_EVERY_S)
            if await self._delivered() < entry_id:
                raise UnreachableProxyError(
                    f"no coordinator has read its event within {within_s:g} s: does one run, and is"
                    " redis_url its core_redis?"
                )

    async def unsettled(self, entry_ids: Collection[EntryId], within_s: float) -> set[EntryId]:
        """Return those of the entries, all of them read, that are not settled *within_s*."""
        with _as_unreachable():
            with anyio.move_on_after(within_s):
                while await self._pending(entry_ids):  # noqa: ASYNC110 - Redis tells of no group
                    await anyio.sleep(_LOOK_EVERY_S)
            return await self._pending(entry_ids)

    async def _delivered(self) -> EntryId:
        group = await read_group(self._stream.client.call, STREAM, GROUP)
        if group is None:
            raise UnreachableProxyError(
                f"no coordinator has ever read here: the stream has no group {GROUP}; is redis_url"
                " its core_redis?"
            )
        return group.last_delivered

    async def _pending(self, entry_ids: Collection[EntryId]) -> set[EntryId]:
        """Return those of *entry_ids* that a coordinator has, and has not acknowledged."""
        if not entry_ids:
            return set()
        first, last = str(min(entry_ids)), str(max(entry_ids))
        try:
            pending = await read_pending(
                self._stream.client.call, STREAM, GROUP, count=_PENDING_MAX, start=first, end=last
            )
        except NoGroupError:
            return set(entry_ids)
        return set(entry_ids) & {entry.entry_id for entry in pending}


@asynccontextmanager
async def open_core_redis(settings: BackendAISettings) -> AsyncIterator[CoreRedis]:
    """Open both databases during the block."""
    live = Server(ServerSettings(url=_in_database(settings.redis_url, _LIVE_DATABASE)))
    stream = Server(ServerSettings(url=_in_database(settings.redis_url, _STREAM_DATABASE)))
    try:
        yield CoreRedis(live, stream, settings)
    finally:
        with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
            await live.aclose()
            await stream.aclose()


def _in_database(url: str, number: int) -> str:
    """Return *url*, which names no database, with one."""
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, f"db={number}")))
    return urlunsplit(parts._replace(query=query))


@contextmanager
def _as_unreachable() -> Iterator[None]:
    try:
        yield
    except (ServerUnavailableError, ServerRefusedError) as error:
        raise UnreachableProxyError(f"the coordinator's Redis: {error}") from None
