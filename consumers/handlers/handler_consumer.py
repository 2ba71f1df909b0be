"""Owns a partition for a handler group, and has its entries handled."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio

from consumers.handlers.handler_settings import HandlerSettings
from consumers.handlers.handler_work import HandlerWork
from consumers.handlers.lease import Lease
from consumers.handlers.owned_entries import OwnedEntries
from consumers.handlers.ownership import PartitionOwnership
from consumers.handlers.tries import Tries
from consumers.runtime.group import Group
from consumers.runtime.group_history import GroupHistory
from consumers.runtime.interruption import INTERRUPTIONS, Interruptions
from consumers.runtime.progress import ConsumerProgress
from events.entry.entry_id import END, START, EntryId
from events.errors import NoGroupError, ServerRefusedError, ServerUnavailableError
from events.log.log import EventLog
from events.structured_logger import structured_logger

FINISH_WITHIN_S = 0.8
"""Time for running tries to end when the partition goes to another consumer; then they are
cancelled, and are repeated there: one that hangs must not hold up the others for longer."""

_HAND_OVER_TIMEOUT_S = 1.0


class HandlerConsumer:
    """A named member of a handler group, for one partition.

    It waits for the lease, owns the partition until it stops, loses the lease or is to give it up,
    and hands over.
    """

    shares_freely = False

    def __init__(
        self,
        log: EventLog,
        partition: int,
        name: tuple[str, str],
        work: HandlerWork,
        settings: HandlerSettings,
    ) -> None:
        group, self.name = name
        self._event_log = log
        self._partition = partition
        self._work = work
        self._settings = settings
        self._group = Group(log.server, log.keys, partition, group)
        self._lease = Lease(log.server, log.keys, partition, name, settings.lease_ms)
        self._history = GroupHistory(log.server, log.keys, partition, name)
        place = (log.server, log.keys, partition)
        self._entries = OwnedEntries(place, name, self._lease, self._history, work.subject_of)
        self.progress = ConsumerProgress(group, partition, self.name)
        self._was_prepared = False
        self._stopping = anyio.Event()
        self._stopped = anyio.Event()
        self._assigned = anyio.Event()
        self._assigned.set()
        self._waiting = anyio.CancelScope()
        self._handling = anyio.CancelScope()
        self._owning: PartitionOwnership | None = None
        self._log = structured_logger(__name__).bind(
            group=group, consumer=self.name, partition=partition
        )
        self._interruptions = Interruptions(self._log, self.progress, self._stopping)

    async def run(self) -> None:
        """Handle until stopped, however often the server, the group or the lease goes away."""
        self.progress.follow()
        try:
            while not self._stopping.is_set():
                try:
                    await self.prepare()
                    if not self._assigned.is_set():
                        await self._stand_by()
                    elif await self._is_owner():
                        self._interruptions.over()
                        await self._handle()
                except* INTERRUPTIONS as errors:
                    await self._interruptions.wait_out(errors)
        finally:
            await self._leave()
            self._log.info("consumer_stopped")
            self._stopped.set()

    async def stop(self) -> None:
        """Stop softly: read nothing more, finish the tries that run; return when that is done."""
        self._stopping.set()
        self._waiting.cancel()
        if self._owning is not None:
            self._owning.stop()
        await self._stopped.wait()

    async def assign(self) -> None:
        """Own the partition as soon as its lease is free."""
        self._assigned.set()

    async def withdraw(self) -> None:
        """Finish running tries within `FINISH_WITHIN_S`, hand the lease over, and stand by."""
        if not self._assigned.is_set():
            return
        self._assigned = anyio.Event()
        self._waiting.cancel()
        if self._owning is not None:
            self._owning.stop()
            self._handling.deadline = anyio.current_time() + FINISH_WITHIN_S

    async def take_over(self, gone: str) -> None:
        """Do nothing: whoever gets the lease takes over all that is pending."""

    async def prepare(self) -> None:
        """Create the group unless it exists, and keep its position."""
        await self._history.compare()
        await self._event_log.restore_layout(self._partition)
        await self._group.ensure(await self._start())
        await self._group.keep_position()
        self._was_prepared = True

    async def _start(self) -> EntryId:
        """Return where the group begins if it is not there and kept no position.

        One that was there before lost both with the log's history: all that the log has now was
        appended since then.
        """
        if self._was_prepared:
            return START
        if self._work.start == END:
            return await self._event_log.head(self._partition)
        return self._work.start

    async def _stand_by(self) -> None:
        """Give up what was ours, and wait until the partition is again, or a stop."""
        await self._leave()
        self.progress.waiting()
        with self._until_told():
            await self._assigned.wait()

    async def _is_owner(self) -> bool:
        """Wait for the lease; return False if a stop or a withdrawal came first."""
        self.progress.waiting()
        with self._until_told():
            await self._lease.take()
        is_wanted = self._assigned.is_set() and not self._stopping.is_set()
        return bool(self._lease.owner) and is_wanted

    @contextmanager
    def _until_told(self) -> Iterator[None]:
        """Let a stop end the wait of the block, also one that came before; so a withdrawal."""
        with anyio.CancelScope() as self._waiting:
            if self._stopping.is_set():
                self._waiting.cancel()
            yield

    async def _handle(self) -> None:
        self._log.info("consumer_started", owner=self._lease.owner)
        self.progress.consuming()
        place = (self._group, self._entries, self._history)
        server = self._event_log.server
        tries = Tries(self._group.name, self._entries, self._work, self._settings)
        self._owning = PartitionOwnership(server, self._lease, place, tries, self._settings)
        try:
            with anyio.CancelScope() as self._handling:
                await self._owning.run()
        finally:
            self._owning = None
            await self._hand_over()

    async def _hand_over(self) -> None:
        """Hand the lease over, also after a hard stop: its tries are cancelled by then."""
        with (
            anyio.move_on_after(_HAND_OVER_TIMEOUT_S, shield=True),
            suppress(ServerUnavailableError, ServerRefusedError),
        ):
            await self._lease.hand_over()

    async def _leave(self) -> None:
        await self._hand_over()
        with anyio.move_on_after(_HAND_OVER_TIMEOUT_S, shield=True):
            try:
                await self._group.leave(self.name)
            except (NoGroupError, ServerUnavailableError, ServerRefusedError) as error:
                self._log.warning("consumer_kept", why=str(error))
