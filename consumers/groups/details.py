"""Reads the details of a group: its consumers, and the entries pending with them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from consumers.groups.operations import Operation, newest_operations
from consumers.groups.requeue import Requeue
from consumers.groups.state import GroupState
from consumers.processes.registry import Fleet, ProcessFacts
from consumers.runtime.last_errors import LastErrors
from consumers.runtime.losses import Loss, Losses
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry, entries_of
from events.log.log import EventLog
from events.log.positions import Positions, group_holder
from events.server.reply import reply, reply_entries
from events.streams.group_activity import SILENT_MS
from events.streams.stream_group import (
    REQUEUER,
    PendingEntry,
    StreamConsumer,
    read_consumers,
    read_pending,
)

PENDING_LOOKED_AT_MAX = 20_000
"""Pending entries of a partition that are looked at one by one."""

MEMBERS_SHOWN_MAX = 1_000

_COUNT = 1_000
_OPERATIONS_SHOWN = 5
_OURS = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{6}\Z")

AGES: tuple[tuple[str, float], ...] = (
    ("under 10s", 10),
    ("10s to 1m", 60),
    ("1m to 10m", 600),
    ("10m to 1h", 3_600),
    ("1h to 1d", 86_400),
    ("over 1d", float("inf")),
)
"""Ranges of age, each with its upper bound in seconds, exclusive."""

DELIVERIES: tuple[tuple[str, float], ...] = (
    ("0", 1),
    ("1", 2),
    ("2", 3),
    ("3 to 5", 6),
    ("6 to 10", 11),
    ("over 10", float("inf")),
)
"""Ranges of deliveries, each with its upper bound, exclusive."""


class GroupConsumer(msgspec.Struct, frozen=True):
    """One consumer of a group.

    Attributes:
        name: Its name.
        host: The host of its process, as that says itself, or as the name tells; None otherwise.
        pid: The id of its process on that host; the same.
        metrics: Where its process serves its metrics, None where that is not known.
        pending: Entries that were delivered to it and have not ended.
        idle_ms: Milliseconds since it last asked for anything.
        state: Active, or silent for `SILENT_MS`; `requeued`: not a consumer, but the place where
            requeued entries wait.
    """

    name: str
    host: str | None
    pid: int | None
    metrics: str | None
    pending: int
    idle_ms: int
    state: Literal["active", "silent", "requeued"]


class PendingItem(PendingEntry, frozen=True):
    """One pending entry, with its content and last error.

    Attributes:
        entry: The entry, None if it was deleted from the log or not looked up.
        last_error: The error of its last failed try, or of the dead letter that was requeued; None
            if it never failed.
    """

    entry: Entry | None = None
    last_error: str | None = None


class PendingCounts(msgspec.Struct, frozen=True):
    """The oldest *counted* pending entries, counted by age and by deliveries."""

    counted: int
    by_age: Mapping[str, int]
    by_deliveries: Mapping[str, int]


class GroupDetails(msgspec.Struct, frozen=True):
    """All that is known of one group in one partition."""

    state: GroupState
    position: EntryId | None
    dead: int
    fleet: Fleet
    members: list[GroupConsumer]
    pending: PendingCounts
    losses: list[Loss]
    operations: list[Operation]


async def read_details(
    log: EventLog, state: GroupState, now_ms: int, fleets: Mapping[str, Fleet]
) -> GroupDetails:
    """Read the details of one group in one partition; *fleets* are the processes by group."""
    group, partition = state.group, state.partition
    exists = state.activity != "missing"
    losses = await Losses(log.server, log.keys, partition, group).read()
    fleet = fleets.get(group, Fleet((), (), 0))
    return GroupDetails(
        state=state,
        position=await Positions(log.server, log.keys, partition).of(group_holder(group)),
        dead=reply(await log.server.client.call("XLEN", log.keys.dead(partition, group)), int),
        fleet=fleet,
        members=await read_members(log, partition, group, fleet) if exists else [],
        pending=await _counts(log, partition, group, now_ms) if exists else counts_of((), 0),
        losses=losses[-_OPERATIONS_SHOWN:],
        operations=await newest_operations(log, partition, group, _OPERATIONS_SHOWN),
    )


async def read_members(
    log: EventLog, partition: int, group: str, fleet: Fleet | None = None
) -> list[GroupConsumer]:
    """Return the consumers of the group, the busiest first; *fleet* knows their processes."""
    stream = log.keys.events(partition)
    known = () if fleet is None else (*fleet.alive, *fleet.dead)
    facts = {process.name: process.facts for process in known}
    consumers = await read_consumers(log.server.client.call, stream, group, with_requeuer=True)
    members = [_member(consumer, facts.get(consumer.name)) for consumer in consumers]
    return sorted(members, key=lambda member: (-member.pending, member.idle_ms, member.name))


def _member(consumer: StreamConsumer, facts: ProcessFacts | None) -> GroupConsumer:
    if facts is None and (ours := _OURS.match(consumer.name)):
        facts = ProcessFacts(host=ours["host"], pid=int(ours["pid"]))
    state: Literal["active", "silent"] = "active" if consumer.idle_ms < SILENT_MS else "silent"
    return GroupConsumer(
        name=consumer.name,
        host=None if facts is None else facts.host,
        pid=None if facts is None else facts.pid,
        metrics=None if facts is None else facts.metrics,
        pending=consumer.pending,
        idle_ms=consumer.idle_ms,
        state="requeued" if consumer.name == REQUEUER else state,
    )


async def list_pending(
    log: EventLog, partition: int, group: str, *, consumer: str | None, min_idle_ms: int, limit: int
) -> list[PendingItem]:
    """Return the oldest *limit* pending entries, of *consumer* unless None, that are this idle."""
    found: list[PendingItem] = []
    start = "-"
    while len(found) < limit:
        count = min(_COUNT, limit - len(found))
        listed = await read_pending(
            log.server.client.call,
            log.keys.events(partition),
            group,
            count=count,
            start=start,
            consumer=consumer,
            min_idle_ms=min_idle_ms,
        )
        found += [PendingItem(**msgspec.structs.asdict(entry)) for entry in listed]
        if len(listed) < count:
            break
        start = f"({found[-1].entry_id}"
    return found


async def look_up(
    log: EventLog, group: str, found: Sequence[tuple[int, PendingItem]]
) -> list[tuple[int, PendingItem]]:
    """Return *found*, pairs of partition and item, completed with entries and last errors."""
    looked_up = {
        partition: iter(
            await _look_up(log, partition, group, [i for p, i in found if p == partition])
        )
        for partition in {partition for partition, _ in found}
    }
    return [(partition, next(looked_up[partition])) for partition, _ in found]


async def _look_up(
    log: EventLog, partition: int, group: str, items: Sequence[PendingItem]
) -> list[PendingItem]:
    entry_ids = [item.entry_id for item in items]
    requeues = await Requeue(log, partition, group).history(entry_ids)
    errors = await LastErrors(log.server, log.keys, partition, group).of(entry_ids)
    looked_up = []
    for item in items:
        entry_id = str(item.entry_id)
        raw = await log.server.client.call("XRANGE", log.keys.events(partition), entry_id, entry_id)
        entry = next(iter(entries_of(reply_entries(raw), partition)), None)
        _, before = requeues.get(item.entry_id, (0, None))
        error = errors.get(item.entry_id, before)
        looked_up.append(msgspec.structs.replace(item, entry=entry, last_error=error))
    return looked_up


async def _counts(log: EventLog, partition: int, group: str, now_ms: int) -> PendingCounts:
    limit = PENDING_LOOKED_AT_MAX
    items = await list_pending(log, partition, group, consumer=None, min_idle_ms=0, limit=limit)
    return counts_of(items, now_ms)


def counts_of(items: Iterable[PendingItem], now_ms: int) -> PendingCounts:
    """Count pending entries by age at *now_ms*, and by deliveries."""
    by_age = dict.fromkeys((name for name, _ in AGES), 0)
    by_deliveries = dict.fromkeys((name for name, _ in DELIVERIES), 0)
    counted = 0
    for item in items:
        counted += 1
        by_age[_bucket(AGES, (now_ms - item.entry_id.ms) / 1_000)] += 1
        by_deliveries[_bucket(DELIVERIES, item.deliveries)] += 1
    return PendingCounts(counted, by_age, by_deliveries)


def _bucket(buckets: Iterable[tuple[str, float]], value: float) -> str:
    return next(name for name, below in buckets if value < below)
