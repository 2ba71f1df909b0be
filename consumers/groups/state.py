"""The state of a group: how much of a partition it has still to read and to end, and who reads."""

from collections.abc import AsyncGenerator
from typing import Literal

import msgspec

from consumers.groups.requeue import REQUEUER
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
"""Entries of a partition that are counted for a lag that the server cannot tell."""

SILENT_MS = 30_000
"""A consumer that has asked for nothing for so long is taken for gone."""

Activity = Literal["missing", "stopped", "silent", "working", "up to date"]
"""What a group does.

Missing: there is no such group in this partition. Stopped: it has no consumer. Silent: none of its
consumers has asked for anything for `SILENT_MS`. Working: there is a backlog. Up to date: there is
none.
"""


class GroupState(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know of one group in one partition.

    Attributes:
        group: Its name.
        partition: The partition.
        activity: What it does.
        consumers: Consumers that it has.
        active: Those of them that were heard of within `SILENT_MS`.
        pending: Entries delivered, but not acknowledged.
        lag: Entries not yet delivered, None where they are more than were counted.
        lag_min: There are at least so many.
        lag_max: There are at most so many, by what Redis counts; None where it has lost count.
        lost: Entries that are known to be gone before it had ended them, None where Redis cannot
            tell whether any are.
        last_delivered: The newest entry that was delivered, `START` for none.
        oldest_pending: The oldest entry that is pending.
        added: Entries that were ever appended to the partition.
        entries_read: Entries that Redis counted as delivered; None where it lost count.
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
        """Pending and lag together, None where the lag is not known."""
        return None if self.lag is None else self.pending + self.lag


async def read_group_states(log: EventLog, only: str | None = None) -> AsyncGenerator[GroupState]:
    """Yield every group that the log has, or *only* one, by name, in every partition."""
    streams: dict[int, PartitionStream | None] = {}
    found: dict[tuple[str, int], StreamGroup] = {}
    for partition in range(log.partitions):
        # The stream first: what arrives meanwhile can make a lag too large, never too small.
        streams[partition] = await read_partition_stream(log, partition)
        for one in await read_groups(log.server.client.call, log.keys.events(partition)):
            found[one.name, partition] = one
    for name in sorted({name for name, _ in found if only in {None, name}}):
        for partition, stream in streams.items():
            group = found.get((name, partition))
            if group is None or stream is None:
                yield GroupState(group=name, partition=partition, activity="missing")
            else:
                yield await _state(log, stream, group)


async def _state(log: EventLog, stream: PartitionStream, group: StreamGroup) -> GroupState:
    call, key = log.server.client.call, stream.key
    lag, lag_min = await count_lag(call, stream, group.last_delivered, group.lag)
    told_max = group.lag if stream.is_gapless else None
    oldest = await read_oldest_pending(call, key, group.raw_name)
    consumers = await read_consumers(call, key, group.raw_name)
    idle_ms = [one.idle_ms for one in consumers if one.name != REQUEUER]
    raw = await call("HGET", log.keys.lost(stream.partition), group.raw_name)
    found_gone = reply_or_none(raw, bytes)
    told_lost = lost_of(stream, group.last_delivered, group.entries_read)
    return GroupState(
        group=group.name,
        partition=stream.partition,
        activity=_activity(idle_ms, is_done=lag == 0 and not group.pending),
        consumers=len(idle_ms),
        active=sum(idle < SILENT_MS for idle in idle_ms),
        pending=group.pending,
        lag=lag,
        lag_min=lag_min,
        lag_max=told_max if lag is None else lag,
        lost=max(told_lost or 0, int(found_gone)) if found_gone else told_lost,
        last_delivered=group.last_delivered,
        oldest_pending=None if oldest is None else oldest.entry_id,
        added=stream.added,
        entries_read=group.entries_read,
    )


async def count_lag(
    ask: Ask, stream: StreamState, last_delivered: EntryId, told: int | None
) -> tuple[int | None, int]:
    """Return the lag, None where nobody can tell it, and how much it is at least.

    Where Redis leaves a doubt the entries are counted, from the group to the end or from the
    beginning to the group, whichever is the shorter way.
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

    That can be told until the group has read past the gap, and as long as none was deleted singly;
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
