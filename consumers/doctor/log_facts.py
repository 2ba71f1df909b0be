"""Reads the facts of a log: its layout, its partitions and the groups that read them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from consumers.doctor.kept_positions import KeptPositions, Reached, read_kept_positions
from consumers.doctor.server_queries import ServerQueries
from consumers.doctor.stray_values import SHOWN_BYTES
from consumers.groups.state import COUNTED_MAX, lost_of
from consumers.runtime.losses import noted_count
from events.entry.entry_id import START, EntryId
from events.errors import LayoutError
from events.log.keys import PARTITIONS_MAX, Keys
from events.log.layout import partitions_in, remains_of
from events.log.partition_identity import PartitionIdentity, read_partition_identity
from events.log.positions import group_holder
from events.server.reply import reply_entries, reply_or_none, text
from events.streams.lag import count_lag
from events.streams.stream_group import (
    PendingEntry,
    StreamConsumer,
    StreamGroup,
    read_consumers,
    read_groups,
    read_oldest_pending,
)
from events.streams.stream_state import StreamState, read_stream_state

DEAD_SAMPLE = 100
"""The newest dead letters, of which the reasons are counted."""

CONSUMERS_MAX = 10_000


class Amount(msgspec.Struct, frozen=True):
    """A number that may be known only as a range: from *least* to *most*."""

    least: int = 0
    most: int = 0

    @classmethod
    def exactly(cls, count: int) -> "Amount":
        """Return an amount that is exactly *count*."""
        return cls(count, count)

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.least + other.least, self.most + other.most)

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f">={self.least}"


class GroupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One group in one partition.

    Attributes:
        lag: Entries not yet delivered.
        oldest: The oldest pending entry, None if nothing is pending.
        consumers: Its consumers.
        last_delivered: The newest entry that was delivered.
        kept_position: Its position as kept beside the stream, None if none is kept.
        trimmed_unread: Entries trimmed before they were delivered, as far as that is known and not
            noted yet.
        lost: Entries that it has ever found gone.
        lost_seen: How many of them an operator has seen.
        lost_at: When it last did so, None if that is no longer kept.
        dead: How many dead letters it has.
        dead_reasons: How often each reason occurs among the newest of them.
    """

    name: str
    pending: int = 0
    lag: Amount = Amount()
    oldest: PendingEntry | None = None
    consumers: Sequence[StreamConsumer] = ()
    last_delivered: EntryId = START
    kept_position: EntryId | None = None
    trimmed_unread: int = 0
    lost: int = 0
    lost_seen: int = 0
    lost_at: datetime | None = None
    dead: int = 0
    dead_reasons: Mapping[str, int] = {}

    @property
    def lost_unseen(self) -> int:
        """Entries that are lost to it, and that no operator has seen."""
        return max(0, self.lost - self.lost_seen) + self.trimmed_unread


class LayoutFacts(msgspec.Struct, frozen=True):
    """What is known of how the log was made.

    Attributes:
        partitions: The number of partitions, None if it is not known.
        unreadable: The stray value in place of that number, None if there is a number or nothing.
        is_told: Whether the server answered.
        is_forbidden: Whether this account may not read it.
        remains: The partitions of which there are keys, where the layout is missing.
        identity: The log's identity as those partitions still have it, None if none has it.
    """

    partitions: int | None = None
    unreadable: str | None = None
    is_told: bool = True
    is_forbidden: bool = False
    remains: Sequence[int] = ()
    identity: str | None = None


class PartitionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One partition.

    Attributes:
        partition: Its number.
        kind: The type of its key: `stream`, `none`, `unknown`, or one that is wrong.
        stream: Its stream, None if there is none.
        kept_positions: What is kept beside it.
        groups: The groups that exist here, by name.
        missing: What is kept for groups that do not exist here, by name.
        held: Which log it belongs to, and what groups found missing of its history.
    """

    partition: int
    kind: str
    stream: StreamState | None = None
    kept_positions: KeptPositions = KeptPositions()
    groups: Mapping[str, GroupFacts] = {}
    missing: Mapping[str, GroupFacts] = {}
    held: PartitionIdentity = PartitionIdentity()

    @property
    def is_cut_short(self) -> bool:
        """Whether a part of the history is known to be missing."""
        return bool(self.held.missing) or self.once_reached is not None

    @property
    def all_groups(self) -> Sequence[GroupFacts]:
        """The groups that exist here, and those that are missing."""
        return (*self.groups.values(), *self.missing.values())

    @property
    def once_reached(self) -> Reached | None:
        """The entry that the stream once reached, None if no entry after its last is known."""
        if self.stream is None and self.kind != "none":
            return None
        last = START if self.stream is None else self.stream.last
        kept = self.kept_positions
        if self.held.accepted is not None:
            # A loss was accepted: that endpoints had later events is known, and no finding.
            kept = msgspec.structs.replace(kept, heads={})
        return kept.reached_beyond(last)


async def read_layout(queries: ServerQueries, keys: Keys) -> LayoutFacts:
    """Read with how many partitions the log was made."""
    held = reply_or_none(await queries.ask("HGET", keys.layout, "partitions"), bytes)
    if not queries.was_told("HGET", keys.layout):
        return LayoutFacts(is_told=False, is_forbidden=queries.is_forbidden("HGET"))
    try:
        partitions = partitions_in(held, keys)
    except LayoutError:
        return LayoutFacts(unreadable=text((held or b"")[:SHOWN_BYTES]))
    return LayoutFacts(partitions) if partitions else await _remains(queries, keys)


async def _remains(queries: ServerQueries, keys: Keys) -> LayoutFacts:
    """Read what is left of a log that has no layout: some of its keys for each partition."""
    # A cluster counts no keys of several slots at once.
    some = queries.is_cluster or await queries.ask("EXISTS", *remains_of(keys))
    remains: list[int] = []
    identity: bytes | None = None
    for partition in range(PARTITIONS_MAX) if some else ():
        if await queries.ask("EXISTS", *remains_of(keys, [partition])):
            remains.append(partition)
            held = await queries.ask("HGET", keys.identity(partition), "identity")
            identity = identity or reply_or_none(held, bytes)
    return LayoutFacts(remains=remains, identity=None if identity is None else text(identity))


async def read_partition(queries: ServerQueries, keys: Keys, partition: int) -> PartitionFacts:
    """Read one partition and its groups, with a few short commands for each.

    What is kept beside the stream is read first: meanwhile the stream can only grow.
    """
    kept_positions = await read_kept_positions(queries, keys, partition)
    key = keys.events(partition)
    key_type = reply_or_none(await queries.ask("TYPE", key), bytes)
    kind = "unknown" if key_type is None else key_type.decode()
    held = await read_partition_identity(queries.ask, keys, partition)
    facts = PartitionFacts(partition=partition, kind=kind, kept_positions=kept_positions, held=held)
    if kind != "stream":
        return facts
    stream = await read_stream_state(queries.ask, key)
    groups = {}
    for group in await read_groups(queries.ask, key):
        kept = await read_kept(queries, keys, partition, kept_positions, group.name)
        noted = kept_positions.noted.get((group.name, str(group.last_delivered)), 0)
        groups[group.name] = await _read_group(queries, (key, stream), group, kept, noted)
    return msgspec.structs.replace(facts, stream=stream, groups=groups)


async def read_kept(
    queries: ServerQueries, keys: Keys, partition: int, kept_positions: KeptPositions, name: str
) -> GroupFacts:
    """Read what is kept for a group, whether the group exists or not."""
    key = keys.dead(partition, name)
    dead = reply_or_none(await queries.ask("XLEN", key), int) or 0
    newest = ("XREVRANGE", key, "+", "-", "COUNT", DEAD_SAMPLE)
    letters = reply_entries(await queries.ask(*newest) if dead else None)
    seen = await queries.ask("HGET", keys.losses_seen(partition, name), "entries")
    return GroupFacts(
        name=name,
        kept_position=kept_positions.positions.get(group_holder(name)),
        lost=kept_positions.lost.get(name, 0),
        lost_seen=noted_count(reply_or_none(seen, bytes)),
        lost_at=kept_positions.lost_at.get(name),
        dead=dead,
        dead_reasons=Counter(_reason(flat) for _, flat in letters),
    )


async def _read_group(
    queries: ServerQueries,
    place: tuple[str, StreamState | None],
    group: StreamGroup,
    kept: GroupFacts,
    noted: int,
) -> GroupFacts:
    key, stream = place
    ask, name, delivered = queries.ask, group.raw_name, group.last_delivered
    consumers = await read_consumers(ask, key, name)
    trimmed = lost_of(stream, delivered, group.entries_read) or 0 if stream else 0
    is_passed = stream is not None and delivered >= stream.last
    return msgspec.structs.replace(
        kept,
        pending=group.pending,
        lag=await read_lag(queries, stream, delivered, group.lag),
        oldest=await read_oldest_pending(ask, key, name),
        consumers=consumers[:CONSUMERS_MAX],
        last_delivered=delivered,
        trimmed_unread=max(0, trimmed - (kept.lost if is_passed else noted)),
    )


async def read_lag(
    queries: ServerQueries,
    stream: StreamState | None,
    delivered: EntryId,
    reported: int | None = None,
) -> Amount:
    """Return how many entries were not yet delivered; *reported* is Redis's own number."""
    if stream is None:
        return Amount()
    lag = await count_lag(queries.ask, stream, delivered, reported, counted_max=COUNTED_MAX)
    most = stream.length if lag.most is None else min(lag.most, stream.length)
    return Amount(lag.least, max(lag.least, most))


def _reason(flat: Sequence[bytes]) -> str:
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return fields.get(b"dead_reason", b"unknown").decode("utf-8", "replace")
