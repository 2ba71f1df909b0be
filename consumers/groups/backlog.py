"""Measures how much a group still has to do in a partition, cheaply enough for every second."""

import msgspec

from consumers.runtime.losses import noted_count
from events.errors import NoGroupError
from events.log.log import EventLog
from events.server.reply import reply_or_none
from events.server.server import now_of
from events.streams.lag import Lag, count_lag
from events.streams.partition_stream import read_partition_stream
from events.streams.stream_group import StreamGroup, read_group, read_oldest_pending
from events.streams.stream_state import StreamState

COUNTED_MAX = 100
"""Entries counted at most for a lag that the server cannot tell; it is asked every second."""


class Backlog(msgspec.Struct, frozen=True):
    """What a group still has to do in one partition.

    Attributes:
        lag: Entries not yet delivered; exact up to `COUNTED_MAX`, above it the server's number,
            which is too high if entries were trimmed that the group had not read.
        pending: Entries delivered, but not acknowledged.
        oldest_pending_s: How long ago the oldest of them was appended, 0 if none is pending.
        lost: Entries that the group has ever found gone.
    """

    lag: int
    pending: int
    oldest_pending_s: float
    lost: int


async def read_backlog(log: EventLog, group: str, partition: int) -> Backlog:
    """Ask the server, with at most six short commands, whatever the length of the log.

    Raises:
        NoGroupError: There is no such group.
        ServerUnavailableError: The server is away.
    """
    call = log.server.client.call
    stream = await read_partition_stream(log, partition)
    found = await read_group(call, log.keys.events(partition), group)
    if stream is None or found is None:
        raise NoGroupError(f"group {group} does not exist in partition {partition}")
    lag = await count_lag(call, stream, found.last_delivered, found.lag, counted_max=COUNTED_MAX)
    oldest = await read_oldest_pending(call, stream.key, group)
    oldest_s = 0.0
    if oldest is not None:
        now_s = (await now_of(log.server)).timestamp()
        oldest_s = max(0.0, now_s - oldest.entry_id.ms / 1_000)
    lost = reply_or_none(await call("HGET", log.keys.lost(partition), group), bytes)
    return Backlog(_likely(lag, stream, found), found.pending, oldest_s, noted_count(lost))


def _likely(lag: Lag, stream: StreamState, group: StreamGroup) -> int:
    if lag.exact is not None:
        return lag.exact
    return max(lag.least, min(stream.length if group.lag is None else group.lag, stream.length))
