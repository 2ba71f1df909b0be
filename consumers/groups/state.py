"""Reads the state of a group: how much it still has to read and to end, and its consumers."""

from collections.abc import AsyncGenerator

import msgspec

from consumers.runtime.losses import noted_count
from events.entry.entry_id import START, EntryId
from events.log.log import EventLog
from events.log.partition_identity import read_partition_identity
from events.server.reply import reply_or_none
from events.streams.group_activity import SILENT_MS, Activity, activity_of, idle_ms_of
from events.streams.lag import count_lag
from events.streams.partition_stream import PartitionStream, read_partition_stream
from events.streams.stream_group import (
    StreamGroup,
    read_consumers,
    read_groups,
    read_oldest_pending,
)
from events.streams.stream_state import StreamState

COUNTED_MAX = 20_000
"""Entries of a partition counted at most for a lag that the server cannot tell."""


class GroupState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one group in one partition.

    Attributes:
        group: Its name.
        partition: The partition.
        activity: What it does.
        consumers: Number of its consumers.
        active: Number of those that asked for anything within `SILENT_MS`.
        pending: Entries delivered, but not acknowledged.
        lag: Entries not yet delivered, None if there are more than were counted.
        lag_min: The lag is at least this.
        lag_max: The lag is at most this, as Redis counts; None if it has lost count.
        lost: Entries known to be gone before the group had ended them, None if Redis cannot tell
            whether there are any.
        last_delivered: The newest entry that was delivered, `START` for none.
        oldest_pending: The oldest entry that is pending.
        added: Entries that were ever appended to the partition.
        entries_read: Entries that Redis counted as delivered; None if it has lost count.
    """

    group: str
    partition: int
    activity: Activity
    consumers: int = 0
    active: int = 0
    pending: int = 0
    lag: int | None = None
    lag_min: int = 0
    lag_max: int | None = None
    lost: int | None = None
    last_delivered: EntryId = START
    oldest_pending: EntryId | None = None
    added: int = 0
    entries_read: int | None = None

    @property
    def backlog(self) -> int | None:
        """Pending and lag together, None if the lag is not known."""
        return None if self.lag is None else self.pending + self.lag


async def read_group_states(log: EventLog, only: str | None = None) -> AsyncGenerator[GroupState]:
    """Yield each group of the log, or *only* that one, ordered by name, in every partition."""
    streams: dict[int, PartitionStream | None] = {}
    found: dict[tuple[str, int], StreamGroup] = {}
    waiting: set[tuple[str, int]] = set()
    for partition in range(log.partitions):
        # The stream first: what arrives meanwhile can make a lag too large, never too small.
        streams[partition] = await read_partition_stream(log, partition)
        for group in await read_groups(log.server.client.call, log.keys.events(partition)):
            found[group.name, partition] = group
        held = await read_partition_identity(log.server.client.call, log.keys, partition)
        waiting |= {(name, partition) for name in held.missing}
    names = {name for name, _ in (*found, *waiting)}
    for name in sorted(names if only is None else names & {only}):
        for partition, stream in streams.items():
            known = found.get((name, partition))
            state = GroupState(group=name, partition=partition, activity="missing")
            if known is not None and stream is not None:
                state = await _state(log, stream, known)
            if (name, partition) in waiting:
                state = msgspec.structs.replace(state, activity="history missing")
            yield state


async def _state(log: EventLog, stream: PartitionStream, group: StreamGroup) -> GroupState:
    call, key = log.server.client.call, stream.key
    lag = await count_lag(call, stream, group.last_delivered, group.lag, counted_max=COUNTED_MAX)
    oldest = await read_oldest_pending(call, key, group.raw_name)
    consumers = await read_consumers(call, key, group.raw_name)
    raw = await call("HGET", log.keys.lost(stream.partition), group.raw_name)
    noted_lost = noted_count(reply_or_none(raw, bytes))
    computed_lost = lost_of(stream, group.last_delivered, group.entries_read)
    return GroupState(
        group=group.name,
        partition=stream.partition,
        activity=activity_of(idle_ms_of(consumers), is_done=lag.exact == 0 and not group.pending),
        consumers=len(consumers),
        active=sum(consumer.idle_ms < SILENT_MS for consumer in consumers),
        pending=group.pending,
        lag=lag.exact,
        lag_min=lag.least,
        lag_max=lag.most,
        lost=max(computed_lost or 0, noted_lost) if noted_lost else computed_lost,
        last_delivered=group.last_delivered,
        oldest_pending=None if oldest is None else oldest.entry_id,
        added=stream.added,
        entries_read=group.entries_read,
    )


def lost_of(stream: StreamState, last_delivered: EntryId, entries_read: int | None) -> int | None:
    """Return how many entries were trimmed before the group had read them.

    That is known until the group has read past the gap, and as long as no single entry was deleted;
    afterwards servers before Redis 8 still tell it once the group has read everything.
    """
    if stream.is_whole:
        return 0
    if entries_read is None or not stream.is_gapless:
        return None
    if last_delivered >= stream.last:
        return max(0, stream.added - entries_read) or None
    if stream.first is None or last_delivered < stream.first:
        return max(0, stream.removed - entries_read)
    return None
