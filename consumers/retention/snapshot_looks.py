"""Looks, in a projector's process, which snapshots it can read, and notes so for retention."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from threading import Lock
from typing import Any

import anyio
from anyio.to_thread import run_sync

from events.entry.entry_id import EntryId
from events.errors import EventsError
from events.log.log import EventLog
from events.retention.known_snapshots import LOOK_EVERY_S, SnapshotNotes, folder_here
from events.structured_logger import structured_logger
from projections.projection import Projection
from projections.snapshots.snapshot import newest_verified
from projections.snapshots.snapshot_store import Snapshots

LOOK_MAX_S = 5.0
"""Seconds that a look may take: a network folder that hangs is one that cannot be read."""

_LEAVE_TIMEOUT_S = 2.0

_log = structured_logger(__name__)

_Found = tuple[EntryId | None, str]


class SnapshotLooks:
    """Looks for the snapshots of one read model in all partitions, as one projector process."""

    def __init__(
        self,
        log: EventLog,
        projection: Projection[Any],
        process: str,
        snapshots: Sequence[Snapshots],
    ) -> None:
        self._projection = projection
        self._process = process
        self._snapshots = snapshots
        self._notes = [
            SnapshotNotes(log.server, log.keys, one.partition, projection.read_model)
            for one in snapshots
        ]
        self._looking = Lock()

    async def run(self) -> None:
        """Look every `LOOK_EVERY_S`, until cancelled."""
        is_heard = True
        while True:
            try:
                await self.look()
                is_heard = True
            except EventsError as error:
                if is_heard:
                    _log.warning("snapshots_not_noted", error=str(error))
                is_heard = False
            await anyio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Look once, and note the newest snapshot of each partition that can be read."""
        identities = [await one.identity() for one in self._snapshots]
        hangs: _Found = None, f"it did not answer within {LOOK_MAX_S:.0f} s"
        found = [hangs] * len(identities)
        with anyio.move_on_after(LOOK_MAX_S):
            found = await run_sync(self._find, identities, found, abandon_on_cancel=True)
        for snapshots, notes, (at, problem) in zip(
            self._snapshots, self._notes, found, strict=True
        ):
            await notes.readable(self._process, at, folder_here(str(snapshots.folder), problem))

    def _find(self, identities: Sequence[str], unanswered: list[_Found]) -> list[_Found]:
        """Return what can be read; *unanswered* while an earlier look still hangs."""
        if not self._looking.acquire(blocking=False):
            return unanswered
        try:
            return [
                newest_verified(one.folder, self._projection, identity)
                for one, identity in zip(self._snapshots, identities, strict=True)
            ]
        finally:
            self._looking.release()

    async def leave(self) -> None:
        """Note that this process looks no more."""
        try:
            for notes in self._notes:
                await notes.leave(self._process)
        except EventsError as error:
            _log.warning("snapshots_not_noted", error=str(error))


@asynccontextmanager
async def looking_for_snapshots(looks: SnapshotLooks) -> AsyncIterator[None]:
    """Look during the block which snapshots this process can read."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(looks.run)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
            with anyio.move_on_after(_LEAVE_TIMEOUT_S, shield=True):
                await looks.leave()
