"""What a log leaves behind where it was, once it has moved; and how that is deleted."""

import re
from collections.abc import AsyncGenerator

import msgspec

from events.errors import LayoutError
from events.log.keys import Keys
from events.log.layout import LogPlace, held_layout
from events.log.log import EventLog
from events.server.reply import reply, text
from events.server.server import Server
from events.streams.stream_state import StreamState, read_stream_state

_SCANNED = 1_000


class LeftLog(msgspec.Struct, frozen=True):
    """What is left of a log.

    Attributes:
        moved_to: Where it has moved to.
        keys: Its keys, without the ones that lead to the new place: the layout and the seals.
        entries: The entries that are in them; all of them are at the new place.
        dead: Dead letters in them, which are not.
    """

    moved_to: LogPlace
    keys: list[str]
    entries: int
    dead: int


async def read_left(server: Server, keys: Keys) -> LeftLog:
    """Return what is left of the log.

    Raises:
        LayoutError: There is no such log, it has not moved, or its new place cannot be read; or
            something was added to it after it had moved.
    """
    layout = await held_layout(server.client, keys)
    if layout is None or layout.moved_to is None:
        raise LayoutError(f"namespace: {keys.namespace!r} is no log that has moved")
    log = EventLog(server, keys, layout, "routestream")
    try:
        if await log.find_successor() is None:
            raise LayoutError(f"the move of {keys.namespace!r} has not ended; run it again first")
    finally:
        await log.aclose()
    moved_to, entries = layout.moved_to, 0
    ends = dict(enumerate(moved_to.ends))
    for partition in range(layout.partitions):
        key = keys.events(partition)
        state = await read_stream_state(server.client.call, key) or StreamState.absent(key)
        entries += state.length
        if state.length and str(state.last) != ends.get(partition):
            raise LayoutError(
                f"partition {partition} of {keys.namespace!r} has entries after"
                f" {ends.get(partition)}, up to {state.last}, that are not at the new place:"
                " a program used XADD; record them there first"
            )
    found = [key async for key in _keys_of(server, keys)]
    dead = 0
    for key in found:
        if re.fullmatch(r"\{.*\}:dead:.+", key):
            dead += reply(await server.client.call("XLEN", key), int)
    return LeftLog(moved_to, found, entries, dead)


async def drop(server: Server, left: LeftLog) -> None:
    """Delete the keys; who still knows the log by its old name is led to the new place."""
    for key in left.keys:
        await server.client.call("UNLINK", key)


async def _keys_of(server: Server, keys: Keys) -> AsyncGenerator[str]:
    """Yield the log's keys; a namespace may begin as another one does."""
    namespace = re.escape(keys.namespace)
    ours = re.compile(rf"\{{{namespace}:\d+\}}:(?!seal$).+")
    for node in await server.each():
        cursor = 0
        while True:
            scan = ("SCAN", cursor, "MATCH", f"{{{keys.namespace}:*", "COUNT", _SCANNED)
            raw = await node.call(*scan)
            cursor, found = reply(raw, tuple[int, list[bytes]])
            for key in map(text, found):
                if ours.fullmatch(key):
                    yield key
            if not cursor:
                break
    processes = (keys.processes, keys.processes_changed)
    for key in (keys.names, keys.checkers, *processes, keys.proxies):
        if await server.client.call("EXISTS", key):
            yield key
