"""What a handler group's consumer does while it owns a partition."""

from time import monotonic

import anyio

from consumers.errors import LeaseLostError
from consumers.handlers.handler_settings import HandlerSettings
from consumers.handlers.intake import Intake
from consumers.handlers.lease import Lease
from consumers.handlers.owned_entries import OwnedEntries
from consumers.handlers.rounds import Rounds
from consumers.handlers.server_wait import wait_before_retry
from consumers.handlers.tries import Tries
from consumers.runtime.group import Group
from consumers.runtime.group_history import GroupHistory
from events.errors import ServerUnavailableError
from events.server.server import Server
from events.structured_logger import structured_logger

REFILL_PAUSE_S = 0.02
"""One pass over the pending entries serves all endpoints that came to want more meanwhile.

It waits for them only where many entries are in hand, so that none of the places is idle.
"""

_PRUNED_AFTER_LEASES = 3
_LOOK_EVERYWHERE_LEASES = 12
_LAST_RENEWAL_S = 0.5


class PartitionOwnership:
    """One period in which a consumer owns a partition.

    It handles first all pending entries of the group, whoever had them, then new ones: so the
    entries of an endpoint keep their order from owner to owner. While the server is away, the tries
    continue; their outcomes are written later, unless the lease expires before.
    """

    def __init__(
        self,
        server: Server,
        lease: Lease,
        place: tuple[Group, OwnedEntries, GroupHistory],
        tries: Tries,
        settings: HandlerSettings,
    ) -> None:
        self._server = server
        self._lease = lease
        self._place = place
        self._group, self._entries, self._history = place
        self._tries = tries
        self._settings = settings
        self._intake: Intake | None = None
        self._is_taken_over = False
        self._looked_at = self._looked_everywhere_at = monotonic()
        self._prune_at = 0.0
        self._stopping = anyio.Event()
        self._waiting = anyio.CancelScope()
        self._log = structured_logger(__name__).bind(group=self._group.name, owner=lease.owner)

    async def run(self) -> None:
        """Handle entries until stopped.

        Raises:
            ExceptionGroup: Of LeaseLostError, if another consumer owns the partition or may own it
                at any moment, and NoGroupError, if the group was lost.
        """
        async with anyio.create_task_group() as tasks:
            rounds = Rounds(self._tries, self._settings.concurrency)
            self._intake = intake = Intake(self._place, self._tries, rounds)
            tasks.start_soon(self._keep_lease, intake)
            async with anyio.create_task_group() as trying:
                trying.start_soon(rounds.run)
                async with anyio.create_task_group() as refilling:
                    refilling.start_soon(self._refill, intake)
                    await self._fill(intake)
                    refilling.cancel_scope.cancel()
                rounds.stop()
            tasks.cancel_scope.cancel()

    def stop(self) -> None:
        """Read nothing more, and finish the running tries; the other entries stay pending."""
        self._stopping.set()
        if self._intake is not None:
            self._intake.stop()
        self._waiting.cancel()

    async def _fill(self, intake: Intake) -> None:
        """Take over pending entries, then read new ones, whenever there is room.

        After a read whose reply was lost it takes over again: the entries in that reply are pending
        with us, and older than all that will be read.
        """
        failures = 0
        is_taken_over = False
        async with self._entries.waiting(self._settings.block_ms) as wait:
            while not self._stopping.is_set():
                try:
                    if not is_taken_over:
                        await self._history.compare()
                        await self._history.look()
                        await intake.take_over()
                        is_taken_over = True
                    room = await intake.room()
                    if room and not await intake.read(room) and not self._stopping.is_set():
                        with anyio.CancelScope() as self._waiting:
                            await wait()
                    failures = 0
                except ServerUnavailableError as error:
                    failures += 1
                    is_taken_over = False
                    await wait_before_retry(error, failures)

    async def _refill(self, intake: Intake) -> None:
        """Take into hand what waits aside, whenever its endpoint has room for it."""
        failures = 0
        hands = self._tries.hands
        while True:
            due_s, freed = hands.next_due_s(), hands.freed
            try:
                while await intake.sweep():
                    failures = 0
            except ServerUnavailableError as error:
                failures += 1
                await wait_before_retry(error, failures)
                continue
            with anyio.move_on_after(due_s):
                await freed.wait()
            if not hands.is_sparse:
                await anyio.sleep(REFILL_PAUSE_S)

    async def _keep_lease(self, intake: Intake) -> None:
        """Renew the lease in time; look for entries that are pending with others."""
        failures, pause_s = 0, self._settings.lease_ms / 3_000
        while True:
            await anyio.sleep(pause_s if not failures else pause_s / 3)
            with anyio.move_on_after(max(self._lease.left_s, _LAST_RENEWAL_S)):
                try:
                    hands = self._tries.hands
                    pending, with_others = await self._lease.renew(hands.held)
                    if with_others or (pending > len(hands.held) and not hands.aside):
                        intake.look_everywhere()
                    await self._look_after_group(intake)
                    failures = 0
                except ServerUnavailableError as error:
                    failures += 1
                    self._log.warning("lease_not_renewed", error=str(error), failures=failures)
            if self._lease.left_s <= 0:
                raise LeaseLostError("the lease could not be renewed in time")

    async def _look_after_group(self, intake: Intake) -> None:
        """Note losses, look for entries in nobody's hands, and remove consumers that are gone."""
        now, lease_s = monotonic(), self._settings.lease_ms / 1_000
        if now - self._looked_at >= lease_s:
            self._looked_at = now
            await self._history.look()
        if now - self._looked_everywhere_at >= _LOOK_EVERYWHERE_LEASES * lease_s:
            self._looked_everywhere_at = now
            intake.look_everywhere()
        if now >= self._prune_at:
            await self._group.prune(_PRUNED_AFTER_LEASES * self._settings.lease_ms)
            self._prune_at = now + _PRUNED_AFTER_LEASES * lease_s
