"""The state of a group: how much of a partition it has still to read and to end, and who reads."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal

import msgspec

from events.entry_id import START, EntryId
from events.log import READ_COUNT, EventLog
from events.streams import StreamState, read_stream

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
        pending: Entries delivered, but not acknowledged.
        lag: Entries not yet delivered, None where they are more than were counted.
        lag_min: There are at least so many.
        lost: Entries that were trimmed before they were delivered, None where that is not known.
        last_delivered: The newest entry that was delivered, `START` for none.
        oldest_pending: The oldest entry that is pending.
    """

    group: str
    partition: int
    activity: Activity
    consumers: int = 0
    pending: int = 0
    lag: int | None = None
    lag_min: int = 0
    lost: int | None = None
    last_delivered: EntryId = START
    oldest_pending: EntryId | None = None

    @property
    def backlog(self) -> int | None:
        """Pending and lag together, None where the lag is not known."""
        return None if self.lag is None else self.pending + self.lag


async def read_group_states(log: EventLog) -> AsyncGenerator[GroupState]:
    """Yield every group that the log has, by name, in every partition."""
    streams: dict[int, StreamState | None] = {}
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for partition in range(log.partitions):
        # The stream first: what arrives meanwhile can make a lag too large, never too small.
        streams[partition] = await read_stream(log, partition)
        for about in await group_infos(log, partition):
            found[about["name"].decode("utf-8", "replace"), partition] = about
    for group in sorted({name for name, _ in found}):
        for partition, stream in streams.items():
            told = found.get((group, partition))
            if told is None or stream is None:
                yield GroupState(group=group, partition=partition, activity="missing")
            else:
                yield await _state(log, group, stream, told)


async def group_infos(log: EventLog, partition: int) -> list[Mapping[str, Any]]:
    """Return what Redis says of each group of the partition."""
    stream = log.keys.events(partition)
    if not await log.server.client.call("EXISTS", stream):
        return []
    infos: list[Mapping[str, Any]] = await log.server.client.call("XINFO GROUPS", stream)
    return infos


async def _state(
    log: EventLog, group: str, stream: StreamState, about: Mapping[str, Any]
) -> GroupState:
    last_delivered = EntryId.parse(about["last-delivered-id"])
    lag = told_lag(stream, last_delivered, about["lag"])
    counted = COUNTED_MAX
    if lag is None:
        counted = await _count_after(log, stream.partition, last_delivered)
        lag = counted if counted < COUNTED_MAX else None
    client, key = log.server.client, log.keys.events(stream.partition)
    pending = await client.call("XPENDING", key, about["name"], "-", "+", 1)
    consumers = await client.call("XINFO CONSUMERS", key, about["name"])
    is_done = lag == 0 and not about["pending"]
    return GroupState(
        group=group,
        partition=stream.partition,
        activity=_activity([consumer["idle"] for consumer in consumers], is_done=is_done),
        consumers=about["consumers"],
        pending=about["pending"],
        lag=lag,
        lag_min=counted if lag is None else lag,
        lost=lost_of(stream, last_delivered, about["entries-read"]),
        last_delivered=last_delivered,
        oldest_pending=EntryId.parse(pending[0][0]) if pending else None,
    )


def told_lag(stream: StreamState, last_delivered: EntryId, told: int | None) -> int | None:
    """Return the lag where what Redis tells allows no doubt.

    Its own number is too large for ever once entries were trimmed that the group had not read, and
    missing after others were deleted.
    """
    if stream.last is None or last_delivered >= stream.last:
        return 0
    if stream.first is None or last_delivered < stream.first:
        return stream.length
    return told if stream.added == stream.length else None


def lost_of(stream: StreamState, last_delivered: EntryId, entries_read: int | None) -> int | None:
    """Return how many entries were trimmed before the group had read them.

    That can be told until the group has read past the gap, and as long as none was deleted singly;
    afterwards servers before Redis 8 still tell it once the group has read everything.
    """
    if stream.added == stream.length:
        return 0
    if entries_read is None or not stream.is_gapless:
        return None
    if stream.last is not None and last_delivered >= stream.last:
        return max(0, stream.added - entries_read) or None
    if stream.first is None or last_delivered < stream.first:
        return max(0, stream.added - stream.length - entries_read)
    return None


async def _count_after(log: EventLog, partition: int, last_delivered: EntryId) -> int:
    """Count the entries after *last_delivered*, up to `COUNTED_MAX`."""
    stream, start, counted = log.keys.events(partition), f"({last_delivered}", 0
    while counted < COUNTED_MAX:
        raw = await log.server.client.call("XRANGE", stream, start, "+", "COUNT", READ_COUNT)
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
