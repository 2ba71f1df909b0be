"""Cut the oldest entries off a partition, never one that a reader still needs."""

from collections.abc import AsyncGenerator, Iterable

import msgspec

from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.log.protocol import READ_COUNT
from events.retention.retention import RetentionRule
from events.server.reply import reply, text

STEP_ENTRIES = 10_000
"""Entries that one step cuts, about: it blocks the server for a few ms."""

FORGET_IDS = 1_000
"""Event ids that one step looks at, about, whether their entries are gone."""

GONE_SHARE = 0.25
"""The share of event ids whose entries may be gone; beyond, all are looked at."""

COUNTED_MAX = 50_000
"""Entries that are counted at most to say how much would be cut."""


class TrimStep(msgspec.Struct, frozen=True):
    """What one step of a trim did.

    Attributes:
        removed: Exact number of entries that it removed.
        cut: The first id that had to stay at this moment.
        held_by: The holder that needs it; None if the age or the end of the log is the limit.
        is_done: Whether nothing before the cut is left.
    """

    removed: int
    cut: EntryId
    held_by: str | None
    is_done: bool


class Trim:
    """Trims one partition of a log that routestream created.

    The script that cuts also determines what must stay, so that a group that was created, was set
    back or received entries since the plan was made loses nothing.
    """

    def __init__(self, log: EventLog, partition: int, rule: RetentionRule) -> None:
        self._log = log
        self._keys = [log.keys.events(partition), log.keys.positions(partition)]
        self._rule = rule
        self._trim = log.server.client.script("events.retention", "trim")
        self._ids_keys = [log.keys.events(partition), log.keys.event_ids(partition)]
        self._forget = log.server.client.script("events.retention", "forget")

    async def steps(self, now_ms: int) -> AsyncGenerator[TrimStep]:
        """Cut step by step until no entry is left that is old enough and that no holder needs."""
        floor = str(self._rule.floor(now_ms))
        without = self._rule.without
        args = [floor, STEP_ENTRIES, len(without), *without, *self._rule.wanted]
        while raw := await self._trim(self._keys, args):
            removed, cut, holder, is_done = reply(raw, tuple[int, bytes, bytes, int])
            step = TrimStep(removed, EntryId.parse(cut), text(holder) or None, bool(is_done))
            if step.is_done:
                await self._forget_gone()
            yield step
            if step.is_done:
                return

    async def _forget_gone(self) -> None:
        """Forget the event ids of entries that are gone, whoever cut or deleted them.

        Looking at all ids costs as much as there are, so that it waits until enough can go.
        """
        stream, ids = self._ids_keys
        entries = reply(await self._log.server.client.call("XLEN", stream), int)
        known = reply(await self._log.server.client.call("HLEN", ids), int)
        if known <= FORGET_IDS + entries / (1 - GONE_SHARE):
            return
        cursor = b"0"
        while True:
            cursor = reply(await self._forget(self._ids_keys, [cursor, FORGET_IDS]), bytes)
            if cursor == b"0":
                return


async def is_ours(log: EventLog) -> bool:
    """Whether routestream created the log: a stream of another program is never trimmed."""
    return bool(await log.server.client.call("HEXISTS", log.keys.layout, "partitions"))


async def count_before(
    log: EventLog, partition: int, places: Iterable[EntryId], counted_max: int = COUNTED_MAX
) -> dict[EntryId, int | None]:
    """Count the entries before each of *places*, None if there are more than *counted_max*."""
    uncounted = sorted(set(places))
    if not uncounted:
        return {}
    counts: dict[EntryId, int | None] = dict.fromkeys(uncounted)
    counted = 0
    end = uncounted[-1].before()
    async for entries in log.read_entries(partition, end=end, count=READ_COUNT):
        for entry in entries:
            while uncounted and uncounted[0] <= entry.entry_id:
                counts[uncounted.pop(0)] = counted
            counted += 1
        if counted > counted_max:
            return counts
    return counts | dict.fromkeys(uncounted, counted)
