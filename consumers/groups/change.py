"""Moves or removes a group by hand."""

from collections.abc import Sequence

from consumers.errors import ConsumersError
from consumers.groups.operations import Operation, as_arguments
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.log.positions import group_holder, snapshot_holder
from events.server.reply import reply
from events.streams.group_activity import SILENT_MS
from events.streams.stream_group import REQUEUER


class GroupActiveError(ConsumersError):
    """Consumers of the group are at work."""

    def __init__(self, group: str, consumers: Sequence[str]) -> None:
        super().__init__(
            f"group {group!r} is being read by {', '.join(consumers)}:"
            " stop them first, or add --force"
        )


class GroupMovedError(ConsumersError):
    """The group's position has changed since the change was decided."""


class GroupChange:
    """Changes one group in one partition; each change is atomic, and noted with who and why."""

    def __init__(self, log: EventLog, partition: int, group: str) -> None:
        keys = log.keys
        self._group = group
        self._partition = partition
        self._events, self._positions = keys.events(partition), keys.positions(partition)
        self._operations = keys.operations(partition)
        self._lost = keys.lost(partition)
        self._snapshots = keys.snapshots(partition)
        self._delivered = keys.delivered(partition, group)
        self._kept = [
            *(keys.requeues(partition, group), keys.tries(partition, group)),
            *(keys.lease(partition, group), keys.fence(partition, group)),
            *(keys.handover(partition, group), keys.errors(partition, group)),
            *(keys.hand(partition, group), keys.aside(partition, group)),
            *(keys.delivered(partition, group), keys.losses_seen(partition, group)),
        ]
        self._reset = log.server.client.script("consumers.groups", "reset")
        self._remove = log.server.client.script("consumers.groups", "remove")

    async def reset(
        self, to: EntryId, seen: EntryId, what: Operation, *, force: bool = False
    ) -> EntryId | None:
        """Move the group so that it reads from *to* on, if *seen* was delivered last.

        Its kept position moves, too. Pending entries stay pending. Returns the entry after which
        the group reads now, None if there is no such group.

        Raises:
            GroupActiveError: A consumer reads for it, and *force* is not given.
            GroupMovedError: It has read on since *seen*.
        """
        keys = [self._events, self._positions, self._operations, self._delivered]
        args = [self._group, group_holder(self._group), str(to), str(seen)]
        raw = await self._reset(keys, [*args, *self._who_counts(force=force), *as_arguments(what)])
        answer, *details = [part.decode("utf-8", "replace") for part in reply(raw, list[bytes])]
        match answer:
            case "active":
                raise GroupActiveError(self._group, details)
            case "moved":
                raise GroupMovedError(
                    f"group {self._group!r} has gone on to {details[0]} in partition"
                    f" {self._partition} meanwhile; nothing was changed there, look again"
                )
            case "missing":
                return None
            case _:
                return EntryId.parse(details[0])

    async def remove(
        self, what: Operation, *, force: bool = False, with_snapshots: bool = False
    ) -> int | None:
        """Remove the group; return how many entries were pending, None if it did not exist.

        With *with_snapshots*, the snapshots of its read model no longer hold the log back either.

        Raises:
            GroupActiveError: A consumer reads for it, and *force* is not given.
        """
        keys = [self._events, self._positions, self._lost, self._operations]
        keys += [self._snapshots, *self._kept]
        snapshots = snapshot_holder(self._group) if with_snapshots else ""
        args = [self._group, group_holder(self._group), snapshots]
        raw = await self._remove(keys, [*args, *self._who_counts(force=force), *as_arguments(what)])
        outcome, *details = reply(raw, list[bytes | int])
        if outcome == b"active":
            names = reply(details, list[bytes])
            raise GroupActiveError(self._group, [name.decode("utf-8", "replace") for name in names])
        return int(details[0]) if details else None

    @staticmethod
    def _who_counts(*, force: bool) -> tuple[int, str]:
        return (0 if force else SILENT_MS, REQUEUER)
