"""Retention: how much of the log is kept, what still needs it, and up to where it may be cut."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from events.entry.entry_id import END, START, EntryId
from events.limits import Limited
from events.log.log import EventLog
from events.log.positions import Positions, group_holder
from events.retention.known_snapshots import Unread, read_known_snapshots, unread_of
from events.server.reply import Ask
from events.server.server import now_of
from events.streams.group_activity import idle_ms_of
from events.streams.partition_stream import PartitionStream, read_partition_stream
from events.streams.redis_stream import RedisStream
from events.streams.stream_group import (
    StreamGroup,
    read_consumers,
    read_groups,
    read_oldest_pending,
)
from events.streams.stream_state import StreamState

KEEP_MIN_S = 120.0
"""The shortest retention, in seconds: a repeated append finds what its first try has written."""

KEEP_MAX_S = 36_525 * 86_400.0
"""The longest retention, in seconds: a century."""

KEEP_S = 7 * 86_400.0
"""The default retention, in seconds: a week."""

KeptSeconds = Annotated[float, Meta(ge=KEEP_MIN_S, le=KEEP_MAX_S)]

TRIMMED = "trimmed"
"""A position that belongs to no holder: up to where the log was cut, inclusive."""

Kind = Literal["archive", "snapshot"]
"""Holders that may be passed over; groups never are."""


class RetentionRule(Limited, frozen=True):
    """How long entries are kept, and which holders must be waited for.

    Attributes:
        keep_s: Entries younger than this are kept.
        required: Holders that must exist; while one is missing nothing is cut.
        without: Kinds of holders that are passed over, whether they exist or not.
    """

    keep_s: KeptSeconds = KEEP_S
    required: tuple[str, ...] = ()
    without: tuple[Kind, ...] = ()

    @property
    def wanted(self) -> tuple[str, ...]:
        """The required holders that are not passed over."""
        return tuple(name for name in self.required if kind_of(name) not in self.without)

    def floor(self, now_ms: int) -> EntryId:
        """Return the first id that is too young to be cut at *now_ms*."""
        return EntryId(max(0, now_ms - round(self.keep_s * 1_000)), 0)


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A reader of the log, and what of the log must be kept for it.

    Attributes:
        name: `group:NAME`, `archive` or `snapshot:READ-MODEL`.
        stands_at: Up to where it has read, inclusive; None if it has read nothing.
        oldest_pending: For a group, its oldest pending entry.
        pending: For a group, the number of its pending entries.
        idle_ms: For a group, how long ago one of its consumers was last active; None: it has no
            consumers.
        is_missing: It does not exist; at most its position is known.
        is_passed_over: It holds nothing back, as the rule says.
        unread: For a snapshot, why retention does not rely on the newest one.
    """

    name: str
    stands_at: EntryId | None = None
    oldest_pending: EntryId | None = None
    pending: int = 0
    idle_ms: int | None = None
    is_missing: bool = False
    is_passed_over: bool = False
    unread: Unread | None = None

    @property
    def kind(self) -> str:
        """Its kind: group, archive or snapshot."""
        return kind_of(self.name)

    @property
    def keeps_from(self) -> EntryId:
        """The first entry that must be kept for it; `START` if everything must be kept.

        The entry at its position is kept as well: by it a group knows that nothing is missing.
        """
        stands_at = START if self.stands_at is None else self.stands_at
        return stands_at if self.oldest_pending is None else min(stands_at, self.oldest_pending)


S_co = TypeVar("S_co", bound=StreamState, covariant=True)


class Cut(msgspec.Struct, Generic[S_co], frozen=True):
    """Up to where a stream may be cut now.

    Attributes:
        stream: The stream, a partition of the log or another.
        holders: All its readers, by name.
        floor: The first id that is too young to be cut, `END` if none is.
    """

    stream: S_co
    holders: tuple[Holder, ...]
    floor: EntryId

    @property
    def at(self) -> EntryId:
        """The first entry that stays."""
        return min(self.floor, self.stream.last, *(holder.keeps_from for holder in self.holding))

    @property
    def holding(self) -> tuple[Holder, ...]:
        """The holders that are not passed over."""
        return tuple(holder for holder in self.holders if not holder.is_passed_over)

    @property
    def held_by(self) -> tuple[Holder, ...]:
        """The holders that prevent a later cut; none if the age or the log's end does."""
        if self.at >= self.floor or self.at == self.stream.last:
            return ()
        return tuple(holder for holder in self.holding if holder.keeps_from == self.at)


def cut_for_readers(stream: RedisStream) -> Cut[RedisStream]:
    """Return up to where the readers of a stream that is not ours allow a cut."""
    readers = [_as_holder(reading.group, reading.oldest_pending) for reading in stream.groups]
    return Cut(stream, tuple(sorted(readers, key=lambda reader: reader.name)), END)


def _as_holder(
    group: StreamGroup, oldest_pending: EntryId | None, idle_ms: int | None = None
) -> Holder:
    return Holder(
        name=group_holder(group.name),
        stands_at=group.last_delivered,
        oldest_pending=oldest_pending,
        pending=group.pending,
        idle_ms=idle_ms,
    )


def _with_positions(
    groups: Mapping[str, Holder], positions: Mapping[str, EntryId], required: Sequence[str] = ()
) -> list[Holder]:
    """Return the groups and the holders that have a position or are required, by name.

    A group that was lost stands at its kept position: it will be created again there. While it
    exists, it needs the entries after that position as well.
    """
    found = dict(groups)
    for name in {*positions, *required} - {TRIMMED}:
        at, group = positions.get(name), groups.get(name)
        if group is None:
            is_missing = at is None or kind_of(name) == "group"
            found[name] = Holder(name=name, stands_at=at, is_missing=is_missing)
        elif at is not None and group.stands_at is not None:
            stands_at = min(at, group.stands_at)
            found[name] = msgspec.structs.replace(group, stands_at=stands_at)
    return [found[name] for name in sorted(found)]


def kind_of(holder: str) -> str:
    """Return what *holder* is: a group, the archive, a snapshot."""
    return holder.partition(":")[0]


async def read_cut(
    log: EventLog, partition: int, rule: RetentionRule, now_ms: int
) -> Cut[PartitionStream] | None:
    """Return up to where the partition may be cut, None if nothing was ever appended to it."""
    stream = await read_partition_stream(log, partition)
    if stream is None:
        return None
    holders = await read_holders(log, partition, rule)
    return Cut(stream, tuple(holders), rule.floor(now_ms))


async def read_holders(log: EventLog, partition: int, rule: RetentionRule) -> list[Holder]:
    """Return all readers of the partition, and the holders that *rule* requires, by name."""
    positions = await Positions(log.server, log.keys, partition).all()
    call, stream = log.server.client.call, log.keys.events(partition)
    groups = [await _read_holder(call, stream, group) for group in await read_groups(call, stream)]
    found = _with_positions({group.name: group for group in groups}, positions, rule.required)
    known = await read_known_snapshots(call, log.keys, partition)
    now_ms = round((await now_of(log.server)).timestamp() * 1_000) if known else 0
    return [
        msgspec.structs.replace(
            holder,
            is_passed_over=holder.kind in rule.without,
            unread=unread_of(holder.name.partition(":")[2], holder.stands_at, known, now_ms)
            if holder.kind == "snapshot"
            else None,
        )
        for holder in found
    ]


async def _read_holder(ask: Ask, stream: str, group: StreamGroup) -> Holder:
    oldest = await read_oldest_pending(ask, stream, group.raw_name)
    consumers = await read_consumers(ask, stream, group.raw_name)
    return _as_holder(group, None if oldest is None else oldest.entry_id, idle_ms_of(consumers))


async def trimmed_to(log: EventLog, partition: int) -> EntryId | None:
    """Return the last id up to which entries are missing in the partition, None if none are.

    What those entries said can only come from a snapshot or the archive: a read model built from
    the remaining log alone would lack it. A trim of ours records the id; a trim by another program,
    or a deleted entry, shows in Redis's counts. If entries were deleted from the middle, it is the
    last of them.
    """
    recorded = await Positions(log.server, log.keys, partition).of(TRIMMED)
    stream = await read_partition_stream(log, partition)
    if stream is None or stream.is_whole:
        return recorded
    missing_to = max(
        stream.deleted or START, stream.last if stream.first is None else stream.first.before()
    )
    return missing_to if recorded is None else max(recorded, missing_to)
