"""Reads the state of a group: how much it still has to read and to end, and its consumers."""

from collections.abc import AsyncGenerator
from typing import Literal

import msgspec

from consumers.groups.requeue import REQUEUER
from consumers.runtime.losses import noted_count
from events.entry.entry_id import START, EntryId
from events.log.log import EventLog
from events.log.protocol import READ_COUNT
from events.server.reply import Ask, reply_entries, reply_or_none
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

SILENT_MS = 30_000
"""A consumer that has asked for nothing for this long is considered gone."""

Activity = Literal["missing", "stopped", "silent", "working", "up to date"]
"""What a group does.

Missing: there is no such group in this partition. Stopped: it has no consumer. Silent: none of its
consumers has asked for anything for `SILENT_MS`. Working: there is a backlog. Up to date: there is
none.
"""


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
    for partition in range(log.partitions):
        # The stream first: what arrives meanwhile can make a lag too large, never too small.
        streams[partition] = await read_partition_stream(log, partition)
        for group in await read_groups(log.server.client.call, log.keys.events(partition)):
            found[group.name, partition] = group
    for name in sorted({name for name, _ in found if only in {None, name}}):
        for partition, stream in streams.items():
            known = found.get((name, partition))
            if known is None or stream is None:
                yield GroupState(group=name, partition=partition, activity="missing")
            else:
                yield await _state(log, stream, known)


async def _state(log: EventLog, stream: PartitionStream, group: StreamGroup) -> GroupState:
    call, key = log.server.client.call, stream.key
    lag, lag_min = await count_lag(call, stream, group.last_delivered, group.lag)
    reported_max = group.lag if stream.is_gapless else None
    oldest = await read_oldest_pending(call, key, group.raw_name)
    consumers = await read_consumers(call, key, group.raw_name)
    idle_ms = [consumer.idle_ms for consumer in consumers if consumer.name != REQUEUER]
    raw = await call("HGET", log.keys.lost(stream.partition), group.raw_name)
    noted_lost = noted_count(reply_or_none(raw, bytes))
    computed_lost = lost_of(stream, group.last_delivered, group.entries_read)
    return GroupState(
        group=group.name,
        partition=stream.partition,
        activity=_activity(idle_ms, is_done=lag == 0 and not group.pending),
        consumers=len(idle_ms),
        active=sum(idle < SILENT_MS for idle in idle_ms),
        pending=group.pending,
        lag=lag,
        lag_min=lag_min,
        lag_max=reported_max if lag is None else lag,
        lost=max(computed_lost or 0, noted_lost) if noted_lost else computed_lost,
        last_delivered=group.last_delivered,
        oldest_pending=None if oldest is None else oldest.entry_id,
        added=stream.added,
        entries_read=group.entries_read,
    )


async def count_lag(
    ask: Ask, stream: StreamState, last_delivered: EntryId, told: int | None
) -> tuple[int | None, int]:
    """Return the lag, None if it cannot be told, and its lower bound.

    If Redis leaves a doubt, the entries are counted: from the group to the end, and if these are
    too many, from the beginning to the group.
    """
    known = stream.lag_after(last_delivered, told)
    if known is not None:
        return known, known
    after = await count_entries(ask, stream.key, f"({last_delivered}", "+")
    if after < COUNTED_MAX:
        return after, after
    before = await count_entries(ask, stream.key, "-", str(last_delivered))
    if before < COUNTED_MAX:
        lag = max(after, stream.length - before)
        return lag, lag
    return None, after


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


async def count_entries(ask: Ask, stream: str | bytes, start: str, end: str) -> int:
    """Count the entries of *stream* from *start* to *end*, up to `COUNTED_MAX`."""
    counted = 0
    while counted < COUNTED_MAX:
        raw = reply_entries(await ask("XRANGE", stream, start, end, "COUNT", READ_COUNT))
        counted += len(raw)
        if len(raw) < READ_COUNT:
            break
        start = f"({raw[-1][0].decode()}"
    return counted


def _activity(idle_ms: list[int], *, is_done: bool) -> Activity:
    if not idle_ms:
        return "stopped"
    if min(idle_ms) >= SILENT_MS:
        return "silent"
    return "up to date" if is_done else "working"
