"""Ask the server about any stream, ours or not, without reading the stream as a whole."""

from collections.abc import AsyncGenerator, Sequence

import msgspec

from events.entry.entry_id import EntryId
from events.errors import ServerRefusedError
from events.server.reply import reply, reply_entries, reply_or_none
from events.server.server import Server
from events.streams.foreign_stream import check_stream
from events.streams.group_activity import Activity, activity_of, idle_ms_of
from events.streams.lag import count_lag
from events.streams.stream_group import (
    StreamGroup,
    read_consumers,
    read_groups,
    read_oldest_pending,
)
from events.streams.stream_state import StreamState, read_stream_state

RATE_SAMPLE = 50
"""Newest entries from whose ids the rate is computed."""

LAG_COUNTED_MAX = 1_000
"""Entries that are counted at most for a lag that the server does not know."""

_MEMORY_SAMPLES = 5
_SCAN_COUNT = 1_000


class ReadingGroup(msgspec.Struct, frozen=True):
    """One group of a stream, and how much it still has to read.

    Attributes:
        group: What the server says about it.
        lag: Entries not yet delivered, None if there are more than were counted.
        lag_min: The least number of entries not yet delivered.
        oldest_pending: Its oldest pending entry.
        consumers: Number of its consumers.
        activity: What it does.
    """

    group: StreamGroup
    lag: int | None
    lag_min: int
    oldest_pending: EntryId | None
    consumers: int
    activity: Activity


class RedisStream(StreamState, frozen=True):
    """The state of any stream, its size and rate, and the groups that read it.

    Attributes:
        size_bytes: Memory that it takes, estimated from a few of its entries; None if it was
            deleted meanwhile.
        rate_per_s: Entries appended per second, from the newest ones until now.
        node: The server that has it; None where there is one server alone.
        groups: The groups that read it, by name.
    """

    size_bytes: int | None
    rate_per_s: float
    node: str | None = None
    groups: tuple[ReadingGroup, ...] = ()

    @property
    def max_lag(self) -> ReadingGroup | None:
        """The group whose position is the lowest, and so has most to read; None if there is none.

        If its lag could not be counted, it is at least as long as any other's.
        """
        if not self.groups:
            return None
        last = min(
            self.groups, key=lambda reading: (reading.group.last_delivered, reading.lag is None)
        )
        return msgspec.structs.replace(
            last, lag_min=max(reading.lag_min for reading in self.groups)
        )


async def read_redis_stream(server: Server, key: str | bytes, now_ms: int) -> RedisStream:
    """Return what the server says about the stream *key*.

    Raises:
        NoStreamError: There is no such key, or it holds something else.
    """
    call = server.client.call
    await check_stream(server, key)
    state = await read_stream_state(call, key) or StreamState.absent(key)
    newest = reply_entries(await call("XREVRANGE", key, "+", "-", "COUNT", RATE_SAMPLE))
    stream = RedisStream(
        **msgspec.structs.asdict(state),
        size_bytes=await _size(server, key),
        node=str((await server.at(key)).place) if server.is_cluster else None,
        rate_per_s=_rate([EntryId.parse(entry_id) for entry_id, _ in newest], now_ms),
    )
    # The stream first: what arrives meanwhile can make a lag too large, never too small.
    groups = [await _read_group(server, stream, group) for group in await read_groups(call, key)]
    by_name = sorted(groups, key=lambda reading: reading.group.name)
    return msgspec.structs.replace(stream, groups=tuple(by_name))


async def _size(server: Server, key: str | bytes) -> int | None:
    try:
        size = await server.client.call("MEMORY USAGE", key, "SAMPLES", _MEMORY_SAMPLES)
    except ServerRefusedError:
        return None
    return reply_or_none(size, int)


def _rate(newest: Sequence[EntryId], now_ms: int) -> float:
    """Return the entries per second since the oldest of *newest*, until now."""
    if len(newest) < 2:
        return 0.0
    return (len(newest) - 1) * 1_000 / max(1, now_ms - newest[-1].ms)


async def _read_group(server: Server, stream: RedisStream, group: StreamGroup) -> ReadingGroup:
    call = server.client.call
    lag = await count_lag(
        call, stream, group.last_delivered, group.lag, counted_max=LAG_COUNTED_MAX
    )
    oldest = await read_oldest_pending(call, stream.key, group.raw_name)
    consumers = await read_consumers(call, stream.key, group.raw_name)
    is_done = lag.exact == 0 and not group.pending
    return ReadingGroup(
        group=group,
        lag=lag.exact,
        lag_min=lag.least,
        oldest_pending=None if oldest is None else oldest.entry_id,
        consumers=len(consumers),
        activity=activity_of(idle_ms_of(consumers), is_done=is_done),
    )


async def stream_keys(server: Server, match: str) -> AsyncGenerator[bytes]:
    """Yield the keys of the server's streams that *match* Redis's pattern, each once."""
    seen: set[bytes] = set()
    for node in await server.each():
        cursor = None
        while cursor != 0:
            scan = ("SCAN", cursor or 0, "MATCH", match, "COUNT", _SCAN_COUNT, "TYPE", "stream")
            cursor, keys = reply(await node.call(*scan), tuple[int, list[bytes]])
            for key in keys:
                if key not in seen:
                    seen.add(key)
                    yield key
