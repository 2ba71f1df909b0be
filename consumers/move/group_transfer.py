"""Let the groups of a log go on in its copy: nothing is passed over, nothing ended is repeated."""

from collections.abc import Collection, Mapping
from contextlib import aclosing

import msgspec

from consumers.runtime.group import HANDED_BACK_IDLE_MS, Group
from events.entry.entry_id import START, EntryId
from events.entry.entry_line import RawEntry
from events.errors import NoGroupError
from events.log.keys import partition_of
from events.log.log import EventLog
from events.log.partition_chunk import read_chunk
from events.log.positions import Positions, group_holder
from events.streams.stream_group import REQUEUER, read_group, read_groups, read_pending
from events.transfer.copy import endpoint_of
from projections.catalogue import READ_MODELS

_CHUNK = 500
_SEARCHED_MAX = 10_000
"""Entries that are searched for one whose id had to change; it lies right after its old one."""


class MovedGroup(msgspec.Struct, frozen=True):
    """What became of one group.

    Attributes:
        name: The group.
        pending: Entries that it has to handle although it has been given newer ones: those that
            were pending, and those that another partition of the source had not given yet.
        lost: Pending entries that are no longer in the log.
        dead: Dead letters, which stay with the source.
    """

    name: str
    pending: int
    lost: int
    dead: int


class _Left(msgspec.Struct):
    """What one group has left to do in a partition of the target, up to where it begins."""

    begin: EntryId = START
    deliveries: dict[EntryId, int] = {}


class GroupTransfer:
    """Makes the groups of *source* anew in *target*, which has all of its entries.

    A group begins there after the newest entry that it was given in any partition; what is left of
    the entries up to there is pending, so that its consumers take it over first, in its order. The
    groups of read models are not touched: they have read the copy themselves.
    """

    def __init__(self, source: EventLog, target: EventLog) -> None:
        self._source = source
        self._target = target

    async def run(self) -> list[MovedGroup]:
        """Make every group; again, if a move was interrupted."""
        return [await self._move(name) for name in await self.names()]

    async def names(self) -> list[str]:
        """Return the names of the groups, without those of read models."""
        found: set[str] = set()
        for partition in range(self._source.partitions):
            call, stream = self._source.server.client.call, self._source.keys.events(partition)
            found |= {group.name for group in await read_groups(call, stream)}
        return sorted(found - set(READ_MODELS))

    async def _move(self, name: str) -> MovedGroup:
        given = [await self._given(name, p) for p in range(self._source.partitions)]
        # An entry whose id had to change lies after its old one, in the same millisecond.
        until = EntryId(max(given).ms + 1, 0).before()
        lefts: dict[int, _Left] = {}
        for partition in range(self._target.partitions):
            head = await self._target.head(partition)
            lefts[partition] = _Left(min(until, head), {})
        lost = 0
        for partition, last in enumerate(given):
            lost += await self._add_pending(name, partition, lefts)
            await self._add_undelivered(partition, last, until, lefts)
        for partition, left in lefts.items():
            await self._make(name, partition, left)
        dead = sum([await self._dead(name, p) for p in range(self._source.partitions)])
        return MovedGroup(name, sum(len(left.deliveries) for left in lefts.values()), lost, dead)

    async def _given(self, name: str, partition: int) -> EntryId:
        """Return the newest entry that the group was given; where it is lost, its kept position."""
        call, stream = self._source.server.client.call, self._source.keys.events(partition)
        group = await read_group(call, stream, name)
        if group is not None:
            return group.last_delivered
        positions = Positions(self._source.server, self._source.keys, partition)
        kept = await positions.of(group_holder(name))
        return await self._source.head(partition) if kept is None else kept

    async def _add_pending(self, name: str, partition: int, lefts: Mapping[int, _Left]) -> int:
        """Add what is pending in the source; return how many entries of it are gone."""
        call, stream = self._source.server.client.call, self._source.keys.events(partition)
        lost, start = 0, "-"
        while True:
            try:
                pending = await read_pending(call, stream, name, count=_CHUNK, start=start)
            except NoGroupError:
                return lost
            for one in pending:
                chunk = await read_chunk(self._source, partition, one.entry_id, one.entry_id, 1)
                lost += not chunk.entries
                for raw in chunk.entries:
                    await self._add(partition, raw, one.deliveries, lefts)
            if len(pending) < _CHUNK:
                return lost
            start = f"({pending[-1].entry_id}"

    async def _add_undelivered(
        self, partition: int, last: EntryId, until: EntryId, lefts: Mapping[int, _Left]
    ) -> None:
        """Add what the group was not given, up to where it begins in the target."""
        position = last
        while position < until:
            chunk = await read_chunk(self._source, partition, position.after(), until, _CHUNK)
            for raw in chunk.entries:
                await self._add(partition, raw, 0, lefts)
            if len(chunk.entries) < _CHUNK:
                return
            position = EntryId.parse(chunk.entries[-1][0])

    async def _add(
        self, partition: int, raw: RawEntry, deliveries: int, lefts: Mapping[int, _Left]
    ) -> None:
        endpoint = endpoint_of(raw[1])
        new = (
            partition % self._target.partitions
            if endpoint is None
            else partition_of(endpoint, self._target.partitions)
        )
        entry_id = await self._found(new, raw)
        if entry_id is not None and entry_id <= lefts[new].begin:
            lefts[new].deliveries[entry_id] = deliveries

    async def _found(self, partition: int, raw: RawEntry) -> EntryId | None:
        """Return the id that the entry has in the target, at or right after the one that it had."""
        entry_id, searched = EntryId.parse(raw[0]), 0
        entries = self._target.read_entries(partition, entry_id)
        async with aclosing(entries):
            async for chunk in entries:
                for entry in chunk:
                    if [part for pair in entry.pairs for part in pair] == list(raw[1]):
                        return entry.entry_id
                searched += len(chunk)
                if searched >= _SEARCHED_MAX:
                    break
        return None

    async def _make(self, name: str, partition: int, left: _Left) -> None:
        """Create the group anew; nobody reads from the target yet."""
        log, call = self._target, self._target.server.client.call
        stream, positions = log.keys.events(partition), log.keys.positions(partition)
        if await read_group(call, stream, name) is not None:
            await call("XGROUP", "DESTROY", stream, name)
        await call("HDEL", positions, group_holder(name))
        await call("DEL", log.keys.delivered(partition, name))
        group = Group(log.server, log.keys, partition, name)
        await group.ensure(left.begin)
        for entry_id in sorted(left.deliveries):
            times = left.deliveries[entry_id]
            await call(
                *("XCLAIM", stream, name, REQUEUER, 0, str(entry_id)),
                *("IDLE", HANDED_BACK_IDLE_MS, "RETRYCOUNT", times, "FORCE", "JUSTID"),
            )
        if left.deliveries:
            oldest = min(left.deliveries)
            await call("HSET", positions, group_holder(name), str(oldest.before()))

    async def _dead(self, name: str, partition: int) -> int:
        raw = await self._source.server.client.call("XLEN", self._source.keys.dead(partition, name))
        return int(str(raw))


def left_by(groups: Collection[MovedGroup]) -> list[str]:
    """Return a sentence for each group of which something does not go along."""
    return [
        f"group {group.name}: {group.dead} dead letters stay where they are, {group.lost} pending"
        " entries are no longer in the log"
        for group in groups
        if group.dead or group.lost
    ]
