"""Requeues dead letters for their group to try again, or drops them."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from consumers.groups.operations import Operation, as_arguments
from consumers.runtime.dead_letters import DeadEntry
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.log.positions import group_holder
from events.server.reply import reply
from events.streams.stream_group import REQUEUER
from events.streams.waiting_connections import wake_others

REQUEUES_MAX = 10_000
"""Entries whose requeues a partition counts; beyond that, all counts begin again."""

_IDLE_MS = 86_400_000
_ERROR_CHARACTERS_MAX = 300
_CHUNK = 100


Outcome = Literal["requeued", "gone", "trimmed"]


class Requeued(msgspec.Struct, frozen=True):
    """What became of one dead letter.

    Attributes:
        letter: The dead letter.
        outcome: Requeued: its entry is pending again. Gone: it was no longer a dead letter.
            Trimmed: its entry is no longer in the log, and it stays a dead letter.
        times: How often the entry has been requeued so far, if it was requeued now.
    """

    letter: DeadEntry
    outcome: Outcome
    times: int | None = None


class Requeue:
    """Ends dead letters of one group in one partition: they are tried again, or dropped.

    A requeued entry becomes pending again under its own id, and the group's kept position moves
    back before it: if Redis loses the group, it begins there. Nothing is appended: no other group
    sees the entry, and it keeps its original stamp, so it overrides nothing newer.
    """

    def __init__(self, log: EventLog, partition: int, group: str) -> None:
        self._log = log
        self._partition = partition
        self._group = group
        keys = log.keys
        self._requeues = keys.requeues(partition, group)
        self._keys = [
            keys.events(partition),
            keys.dead(partition, group),
            self._requeues,
            keys.positions(partition),
            keys.operations(partition),
        ]
        self._requeue = log.server.client.script("consumers.groups", "requeue")
        self._drop = log.server.client.script("consumers.groups", "drop")

    async def requeue(self, letters: Sequence[DeadEntry], what: Operation) -> list[Requeued]:
        """Let the group try *letters* again; of two concurrent calls, one finds them gone.

        Raises:
            NoGroupError: The group is not there.
        """
        found: list[Requeued] = []
        for at in range(0, len(letters), _CHUNK):
            chunk = letters[at : at + _CHUNK]
            args: list[str | int] = [self._group, REQUEUER, _IDLE_MS, REQUEUES_MAX]
            args += (group_holder(self._group), len(chunk))
            for letter in chunk:
                args += (str(letter.dead_id), str(letter.original.entry_id), _error_of(letter))
            raw = await self._requeue(self._keys, [*args, *as_arguments(what)])
            replies = reply(raw, list[list[bytes | int]])
            for letter, (status, *times) in zip(chunk, replies, strict=True):
                outcome = msgspec.convert(reply(status, bytes).decode(), Outcome)
                found.append(Requeued(letter, outcome, *reply(times, list[int])))
        if any(requeued.outcome == "requeued" for requeued in found):
            member = (self._group, REQUEUER)
            await wake_others(self._log.server, self._log.keys, self._partition, member)
        return found

    async def drop(self, letters: Sequence[DeadEntry], what: Operation) -> int:
        """Delete *letters*; return how many still existed."""
        dropped = 0
        for at in range(0, len(letters), _CHUNK):
            ids = [str(letter.dead_id) for letter in letters[at : at + _CHUNK]]
            keys = [self._keys[1], self._keys[-1]]
            raw = await self._drop(keys, [len(ids), *ids, *as_arguments(what)])
            dropped += reply(raw, int)
        return dropped

    async def history(self, entry_ids: Sequence[EntryId]) -> dict[EntryId, tuple[int, str]]:
        """Return, for each entry that was requeued, how often, and its last dead letter's error."""
        found: dict[EntryId, tuple[int, str]] = {}
        for at in range(0, len(entry_ids), _CHUNK):
            chunk = entry_ids[at : at + _CHUNK]
            names = map(str, chunk)
            raw = await self._log.server.client.call("HMGET", self._requeues, *names)
            for entry_id, value in zip(chunk, reply(raw, list[bytes | None]), strict=True):
                if value is not None:
                    times, _, error = value.decode("utf-8", "replace").partition(" ")
                    found[entry_id] = (int(times) if times.isdecimal() else 0, error)
        return found


def _error_of(letter: DeadEntry) -> str:
    error = f"{letter.reason}: {letter.error}" if letter.error else letter.reason
    return error[:_ERROR_CHARACTERS_MAX]
