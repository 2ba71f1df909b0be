"""Keeps which losses of a group an operator has seen."""

import msgspec

from consumers.groups.operations import Operation, as_arguments
from consumers.runtime.losses import Loss, Losses, noted_count
from events.entry.entry_id import START, EntryId
from events.errors import InvalidPositionError
from events.log.log import EventLog
from events.server.reply import reply


class Seen(msgspec.Struct, frozen=True):
    """What an operator has seen of a group's losses in one partition.

    Attributes:
        entries: How many entries the group had lost in all.
        last: The newest loss, by its id among the losses.
    """

    entries: int = 0
    last: EntryId = START

    def has(self, loss: Loss) -> bool:
        """Whether *loss* was seen."""
        return loss.noted_id <= self.last


class GroupLosses(msgspec.Struct, frozen=True):
    """The losses of a group in one partition, and which of them an operator has seen."""

    partition: int
    total: int
    losses: list[Loss]
    seen: Seen

    @property
    def unseen(self) -> int:
        """How many entries were lost that no operator has seen yet."""
        return max(0, self.total - self.seen.entries)


async def read_group_losses(log: EventLog, partition: int, group: str) -> GroupLosses:
    """Return the losses of *group*; what is noted meanwhile is not counted as seen later."""
    losses = Losses(log.server, log.keys, partition, group)
    total = await losses.total()
    raw = await log.server.client.call(
        "HMGET", log.keys.losses_seen(partition, group), "entries", "last"
    )
    entries, last = reply(raw, list[bytes | None])
    try:
        seen = Seen(noted_count(entries), START if last is None else EntryId.parse(last))
    except InvalidPositionError:
        seen = Seen()
    return GroupLosses(partition, total, await losses.read(), seen)


async def mark_seen(log: EventLog, group: str, shown: GroupLosses, what: Operation) -> int:
    """Note that *shown* was seen, with who and why; return how many entries were unseen before."""
    keys = [log.keys.losses_seen(shown.partition, group), log.keys.operations(shown.partition)]
    last = max((loss.noted_id for loss in shown.losses), default=START)
    script = log.server.client.script("consumers.groups", "mark_losses_seen")
    return reply(await script(keys, [shown.total, str(last), *as_arguments(what)]), int)
