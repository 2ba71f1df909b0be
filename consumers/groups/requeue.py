"""The requeue: dead letters that their group is to try again, or that nobody needs any more."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from consumers.groups.operations import Operation, as_arguments
from consumers.runtime.dead_letters import DeadEntry
from consumers.runtime.waiting_connections import wake_others
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.log.positions import group_holder
from events.server.reply import reply

REQUEUER = "requeue"
"""With this consumer requeued entries are pending until another one claims them."""

REQUEUES_MAX = 10_000
"""Entries whose requeues a partition counts; beyond that all are counted anew."""

_IDLE_MS = 86_400_000
_ERROR_CHARACTERS_MAX = 300
_CHUNK = 100


Outcome = Literal["requeued", "gone", "trimmed"]


class Requeued(msgspec.Struct, frozen=True):
    """What became of one dead letter.

    Attributes:
        letter: The dead letter.
        outcome: It is pending again; it was no dead letter any more; or its entry is not in the
            log any more, and it stays one.
        times: How often the entry was requeued by now, where it was.
    """

    letter: DeadEntry
    outcome: Outcome
    times: int | None = None


class Requeue:
    """Ends dead letters of one group in one partition: they are tried again, or dropped.

    A requeued entry becomes pending again under its own id, and the group's kept position steps
    back before it: lost with all that Redis knows of it, the group begins there. Nothing is
    appended: no other group sees it, and what it sets carries the stamp it always had, so that
    nothing newer is overridden.
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
        """Let the group try *letters* again; of two that do it at once, one finds them gone.

        Raises:
            NoGroupError: The group is not there.
        """
        found: list[Requeued] = []
        for at in range(0, len(letters), _CHUNK):
            some = letters[at : at + _CHUNK]
            args: list[str | int] = [self._group, REQUEUER, _IDLE_MS, REQUEUES_MAX]
            args += (group_holder(self._group), len(some))
            for one in some:
                args += (str(one.dead_id), str(one.original.entry_id), _error_of(one))
            raw = await self._requeue(self._keys, [*args, *as_arguments(what)])
            replies = reply(raw, list[list[bytes | int]])
            for one, (told, *times) in zip(some, replies, strict=True):
                outcome = msgspec.convert(reply(told, bytes).decode(), Outcome)
                found.append(Requeued(one, outcome, *reply(times, list[int])))
        if any(one.outcome == "requeued" for one in found):
            of = (self._group, REQUEUER)
            await wake_others(self._log.server, self._log.keys, self._partition, of)
        return found

    async def drop(self, letters: Sequence[DeadEntry], what: Operation) -> int:
        """Delete *letters*; return how many there still were."""
        dropped = 0
        for at in range(0, len(letters), _CHUNK):
            ids = [str(one.dead_id) for one in letters[at : at + _CHUNK]]
            keys = [self._keys[1], self._keys[-1]]
            raw = await self._drop(keys, [len(ids), *ids, *as_arguments(what)])
            dropped += reply(raw, int)
        return dropped

    async def history(self, entry_ids: Sequence[EntryId]) -> dict[EntryId, tuple[int, str]]:
        """Return of each entry that was ever requeued how often, and of what it had died last."""
        told: dict[EntryId, tuple[int, str]] = {}
        for at in range(0, len(entry_ids), _CHUNK):
            some = entry_ids[at : at + _CHUNK]
            names = map(str, some)
            raw = await self._log.server.client.call("HMGET", self._requeues, *names)
            for entry_id, value in zip(some, reply(raw, list[bytes | None]), strict=True):
                if value is not None:
                    times, _, error = value.decode("utf-8", "replace").partition(" ")
                    told[entry_id] = (int(times), error)
        return told


def _error_of(letter: DeadEntry) -> str:
    told = f"{letter.reason}: {letter.error}" if letter.error else letter.reason
    return told[:_ERROR_CHARACTERS_MAX]
