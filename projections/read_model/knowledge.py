"""Measure on the log how old the knowledge in a read model is."""

from datetime import datetime

import msgspec

from events.entry.age import age_of, span
from events.entry.entry_id import START, EntryId
from events.errors import DamagedValueError
from events.log.keys import Keys
from events.log.partition_identity import read_partition_identity
from events.server.reply import Ask, reply_entries, reply_or_none, whole_number
from events.streams.group_activity import Activity, activity_of, idle_ms_of
from events.streams.stream_group import read_consumers, read_group, read_oldest_pending
from projections.errors import WAY_OUT

_NOBODY: dict[Activity, str] = {
    "stopped": "no consumer runs",
    "silent": "its consumers are silent",
}


class Knowledge(msgspec.Struct, frozen=True):
    """How far the group that folds a read model has come in one partition.

    Attributes:
        group: The group; it has the name of the read model.
        partition: The partition.
        is_kept: Whether the group exists.
        head: The partition's last entry, `START` where there is none.
        unfolded: The oldest entry that is not folded yet, None where all are.
        pending: Entries that were delivered to a consumer and are not folded yet.
        activity: What the group does.
        missing: What the group found missing of the history, and waits for; None: nothing.
        lost: Entries that the group lost, and that no operator has seen yet.
    """

    group: str
    partition: int
    is_kept: bool
    head: EntryId
    unfolded: EntryId | None = None
    pending: int = 0
    activity: Activity = "missing"
    missing: str | None = None
    lost: int = 0

    @property
    def folded_up_to(self) -> EntryId:
        """The entry up to which, inclusive, all are folded."""
        if self.unfolded is None:
            return self.head
        return self.unfolded.before() if self.unfolded > START else START

    def behind_s(self, now: datetime) -> float | None:
        """Return the age in seconds: 0 where all entries are folded, None where no group folds."""
        if not self.is_kept:
            return None
        if self.unfolded is None:
            return 0.0
        return max(0.0, now.timestamp() - self.unfolded.ms / 1_000)

    def in_words(self, now: datetime) -> str:
        """Return it as a sentence for a person."""
        if self.missing is not None:
            return f"history missing: {self.missing}; {WAY_OUT}"
        if not self.is_kept:
            return f"unknown: no group {self.group} folds partition {self.partition}"
        if self.unfolded is None and self.lost:
            entries = "1 entry" if self.lost == 1 else f"{self.lost} entries"
            return (
                f"not whole: {entries} lost to {self.group} and not folded, see"
                f" `routestream groups losses {self.group}`; all else is, up to {self.head}"
            )
        if self.unfolded is None:
            return f"up to date: all is folded up to {self.head}, {age_of(self.head, now)} ago"
        who = _NOBODY.get(self.activity, f"{self.pending} pending")
        old = span(self.behind_s(now) or 0.0)
        return f"{old} old: not folded since {self.unfolded} ({who}); the log ends at {self.head}"


async def read_knowledge(call: Ask, keys: Keys, group: str, partition: int) -> Knowledge:
    """Read from the log how far *group* has come in the partition, with a few short commands."""
    stream = keys.events(partition)
    newest = reply_entries(await call("XREVRANGE", stream, "+", "-", "COUNT", 1))
    head = EntryId.parse(newest[0][0]) if newest else START
    noted = (await read_partition_identity(call, keys, partition)).missing.get(group)
    missing = None if noted is None else noted.cause
    found = await read_group(call, stream, group)
    if found is None:
        return Knowledge(
            group=group, partition=partition, is_kept=False, head=head, missing=missing
        )
    oldest = await read_oldest_pending(call, stream, group)
    following = await call("XRANGE", stream, f"({found.last_delivered}", "+", "COUNT", 1)
    consumers = await read_consumers(call, stream, group)
    waiting = [EntryId.parse(entry_id) for entry_id, _ in reply_entries(following)]
    return Knowledge(
        group=group,
        partition=partition,
        is_kept=True,
        head=head,
        unfolded=min(waiting if oldest is None else [oldest.entry_id, *waiting], default=None),
        pending=found.pending,
        activity=activity_of(idle_ms_of(consumers), is_done=not waiting and not found.pending),
        missing=missing,
        lost=await _read_lost(call, keys, group, partition),
    )


async def _read_lost(call: Ask, keys: Keys, group: str, partition: int) -> int:
    """Return how many entries the group lost that no operator has seen yet."""
    lost = reply_or_none(await call("HGET", keys.lost(partition), group), bytes)
    seen = reply_or_none(await call("HGET", keys.losses_seen(partition, group), "entries"), bytes)
    try:
        return max(0, whole_number(lost or b"0") - whole_number(seen or b"0"))
    except DamagedValueError:
        return 0
