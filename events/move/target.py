"""The log that another one is copied into: it is checked, and created once."""

import msgspec

from events.errors import LayoutError, ServerRefusedError
from events.history.history import History
from events.log.keys import Keys, check_partitions
from events.log.layout import create_layout, keep_layout, read_layout
from events.log.log import EventLog
from events.server.reply import reply_or_none
from events.server.server import Server
from events.streams.stream_state import read_stream_state
from events.transfer.playback import refuse_same_log


class MoveSize(msgspec.Struct, frozen=True):
    """What a copy of a log will have.

    Attributes:
        entries: How many entries were ever appended to the log.
        memory_bytes: The memory that they take in Redis, about; None where the server does not say.
        free_bytes: The memory that the target's server has left, None where it has no limit.
    """

    entries: int
    memory_bytes: int | None
    free_bytes: int | None


async def open_target(
    source: History, server: Server, namespace: str, partitions: int, *, create: bool
) -> EventLog:
    """Open the log that *source* is copied into; with *create* it is created if it does not exist.

    Raises:
        LayoutError: *source* does not exist, or has no identity; the target is another log, or has
            another number of partitions.
        SameLogError: Both are the same log.
    """
    layout, keys = source.log.layout, Keys(namespace)
    if layout.identity is None or not layout.is_complete:
        raise LayoutError(f"there is no log {source.keys.namespace!r} that can be copied")
    if layout.copy_of is not None:
        raise LayoutError(f"the log {source.keys.namespace!r} is itself a copy that is not done")
    check_partitions(partitions)
    held = await read_layout(server.client, keys)
    if held is None and create:
        held = await create_layout(server.client, keys, partitions, copy_of=layout.identity)
    elif held is not None and (held.copy_of, held.partitions) != (layout.identity, partitions):
        raise LayoutError(
            f"namespace: there is a log {namespace!r} at {server.address} with {held.partitions}"
            f" partitions, which is no copy of {source.keys.namespace!r} with {partitions};"
            " give another namespace"
        )
    elif held is not None and create and not held.is_complete:
        held = await keep_layout(server.client, keys, held)
    if held is not None:
        target = EventLog(server, keys, held, source.log.source)
        await refuse_same_log(source.log, target)
        return target
    return await EventLog.open(server, keys, partitions=partitions, create=False)


async def read_size(source: History, server: Server) -> MoveSize:
    """Return how large a copy of *source* on *server* will be."""
    entries, memory_bytes = 0, 0
    try:
        for partition in range(source.partitions):
            key = source.keys.events(partition)
            state = await read_stream_state(source.server.client.call, key)
            if state is None:
                continue
            entries += state.added
            for one in source.keys.of_append(partition):
                usage = reply_or_none(await source.server.client.call("MEMORY USAGE", one), int)
                of_stream = one == key and state.length
                memory_bytes += (
                    (usage or 0)
                    * (state.added if of_stream else 1)
                    // (state.length if of_stream else 1)
                )
    except ServerRefusedError:
        return MoveSize(entries, None, None)
    return MoveSize(entries, memory_bytes, await _free_bytes(server))


def check_memory(size: MoveSize) -> None:
    """Raise LayoutError where the target's server has not the memory for the copy."""
    if size.free_bytes is None or size.memory_bytes is None or size.memory_bytes <= size.free_bytes:
        return
    raise LayoutError(
        f"maxmemory: a copy of the log needs about {size.memory_bytes:,} bytes, the target's server"
        f" has {size.free_bytes:,} left; raise maxmemory there"
    )


async def _free_bytes(server: Server) -> int | None:
    free_bytes = 0
    try:
        for node in await server.each():
            about = await node.told("memory")
            limit, used = int(str(about["maxmemory"])), int(str(about["used_memory"]))
            if not limit:
                return None
            free_bytes += max(0, limit - used)
    except (ServerRefusedError, KeyError):
        return None
    return free_bytes
