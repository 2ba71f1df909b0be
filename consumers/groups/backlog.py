"""The backlog: how much of a partition a group has still to do, at a cost fit for every second."""

import msgspec

from consumers.groups.state import group_infos
from events.entry.entry_id import EntryId
from events.errors import NoGroupError
from events.log.log import EventLog
from events.server.server import now_of
from events.streams.partition_stream import StreamState, read_stream, told_lag

COUNTED_MAX = 100
"""Entries that are counted for a lag that the server cannot tell; it is asked every second."""


class Backlog(msgspec.Struct, frozen=True):
    """What is left to do for a group in one partition.

    Attributes:
        lag: Entries not yet delivered; exact up to `COUNTED_MAX`, beyond that as the server tells
            it, which is too high where entries were trimmed that the group had not read.
        pending: Entries delivered, but not acknowledged.
        oldest_pending_s: How long ago the oldest of them was appended, 0 where none is pending.
        lost: Entries that the group ever found gone.
    """

    lag: int
    pending: int
    oldest_pending_s: float
    lost: int


async def read_backlog(log: EventLog, group: str, partition: int) -> Backlog:
    """Ask the server; no more than eight short commands, whatever the length of the log.

    Raises:
        NoGroupError: There is no such group.
        ServerUnavailableError: The server is away.
    """
    stream = await read_stream(log, partition)
    infos = await group_infos(log, partition)
    about = next((one for one in infos if one["name"] == group.encode()), None)
    if stream is None or about is None:
        raise NoGroupError(f"group {group} does not exist in partition {partition}")
    delivered = EntryId.parse(about["last-delivered-id"])
    lag = told_lag(stream, delivered, about["lag"])
    if lag is None:
        lag = await _counted(log, stream, delivered, about["lag"])
    client, key = log.server.client, stream.stream
    pending = await client.call("XPENDING", key, group, "-", "+", 1)
    oldest_s = 0.0
    if pending:
        now_s = (await now_of(log.server)).timestamp()
        oldest_s = max(0.0, now_s - EntryId.parse(pending[0][0]).ms / 1_000)
    lost = await client.call("HGET", log.keys.lost(partition), group)
    return Backlog(lag, about["pending"], oldest_s, int(lost or 0))


async def _counted(log: EventLog, stream: StreamState, delivered: EntryId, told: int | None) -> int:
    raw = await log.server.client.call(
        "XRANGE", stream.stream, f"({delivered}", "+", "COUNT", COUNTED_MAX
    )
    if len(raw) < COUNTED_MAX:
        return len(raw)
    return max(COUNTED_MAX, min(stream.length if told is None else told, stream.length))
