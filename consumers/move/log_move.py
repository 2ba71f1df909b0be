"""Move a log with its read models and its groups, while producers and readers go on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

import anyio
import msgspec
from anyio.abc import TaskStatus

from consumers.move.group_transfer import GroupTransfer, MovedGroup
from consumers.move.target_tables import check_tables, fold_tables
from consumers.processes.moved_log import LOOK_FOR_MOVE_S
from events.background import in_background
from events.errors import EventsError
from events.history.history import History
from events.log.layout import LogPlace
from events.log.log import EventLog
from events.move import LogChangeOver, LogCopy, NotMovedError
from events.move.log_copy import Note
from events.move.log_digest import LogDigest, differing
from events.move.side_keys import copy_side_keys

ROUNDS_MAX = 20
"""Times that what was appended meanwhile is copied before the log is sealed."""

FEW = 500
"""Entries that may be left to copy while the log is sealed."""

HANDLERS_STOP_S = 15.0
"""The longest wait for handler groups to finish what they have in hand."""

_PAUSE_MS = 30_000
_LOOK_EVERY_S = 0.05
_LOOK_MAX_S = 1.0


class LogMoved(msgspec.Struct, frozen=True):
    """What a move did.

    Attributes:
        entries: The entries that are at the new place.
        endpoints: The endpoints whose entries are the same at both places.
        documents: The documents that are what their events fold to.
        sealed_s: Seconds for which producers waited.
        groups: The groups that go on at the new place, without those of read models.
    """

    entries: int
    endpoints: int
    documents: int
    sealed_s: float
    groups: list[MovedGroup]


class LogMove:
    """One move of *source* to *target*, which is its copy, or becomes it.

    A move that was killed goes on where it was when it is run again. Up to its last step, the
    change-over, the source is not touched.

    Args:
        source: The log that moves, with its archive.
        target: The log at the new place; see `events.move.open_target`.
        place: How the source's layout names the new place.
        note: Called with what was copied.
        say: Called with each step that begins, as a sentence.
    """

    def __init__(
        self,
        source: History,
        target: EventLog,
        place: LogPlace,
        note: Note,
        say: Callable[[str], None],
    ) -> None:
        self._source = source
        self._target = target
        self._copy = LogCopy(source, target, note)
        self._change = LogChangeOver(source.log, target, place)
        self._transfer = GroupTransfer(source.log, target)
        self._digests = LogDigest(source), LogDigest(target)
        self._say = say

    async def run(self) -> LogMoved:
        """Copy, fold, compare, change over.

        Raises:
            NotMovedError: The copy is not equal, or the change-over did not succeed: the log is
                where it was, sealed until the move is run again where the message says so.
            MovedError: Another program appends to the target.
            TrimmedError: A part of the log's history is gone.
        """
        self._say("copying the entries")
        await self._copy.begin()
        await self._catch_up()
        self._say("folding the read models")
        await fold_tables(self._target)
        self._say("comparing both logs, and each document with what its events fold to")
        for digest in self._digests:
            await digest.read()
        documents = await check_tables(self._target)
        self._say("waiting until handler groups have finished what they have in hand")
        async with self._handlers_paused():
            await self._catch_up()
            await fold_tables(self._target)
            self._say("changing over")
            began_at = monotonic()
            groups = await self._change_over()
        sealed_s = monotonic() - began_at
        of_target = self._digests[1]
        return LogMoved(of_target.count, len(of_target.endpoints), documents, sealed_s, groups)

    async def _catch_up(self) -> None:
        for _ in range(ROUNDS_MAX):
            if await self._copy.copy(await self._copy.settled_ends()) < FEW:
                return

    async def _change_over(self) -> list[MovedGroup]:
        async with self._change.sealed():
            ends = await self._change.ends()
            await self._copy.copy(ends)
            await fold_tables(self._target)
            for digest in self._digests:
                await digest.read()
            if found := differing(*self._digests):
                raise NotMovedError(
                    f"the entries of {len(found)} endpoints differ in the copy, one of them"
                    f" {found[0]}; drop the copy and move the log again"
                )
            await copy_side_keys(self._source.log, self._target)
            groups = await self._transfer.run()
            await self._change.commit(ends)
        return groups

    @asynccontextmanager
    async def _handlers_paused(self) -> AsyncIterator[None]:
        """Let handler groups stop softly, and wait for that; they go on when the block ends."""
        log = self._source.log
        async with in_background(self._keep_pausing):
            try:
                names = await self._transfer.names()
                leases = [log.keys.lease(p, name) for p in range(log.partitions) for name in names]
                if names:
                    # Between two owners there is no lease: by then no process takes one any more.
                    await anyio.sleep(LOOK_FOR_MOVE_S + _LOOK_MAX_S)
                with anyio.move_on_after(HANDLERS_STOP_S):
                    while await self._is_there(leases):  # noqa: ASYNC110 - they are elsewhere
                        await anyio.sleep(_LOOK_EVERY_S)
                yield
            finally:
                with anyio.CancelScope(shield=True), suppress(EventsError):
                    await log.server.client.call("DEL", log.keys.moving)

    async def _keep_pausing(self, *, task_status: TaskStatus[None]) -> None:
        call, key = self._source.log.server.client.call, self._source.log.keys.moving
        await call("SET", key, self._target.keys.namespace, "PX", _PAUSE_MS)
        task_status.started()
        while True:
            await anyio.sleep(_PAUSE_MS / 6_000)
            await call("SET", key, self._target.keys.namespace, "PX", _PAUSE_MS)

    async def _is_there(self, keys: list[str]) -> bool:
        call = self._source.log.server.client.call
        for key in keys:
            if await call("EXISTS", key):
                return True
        return False
