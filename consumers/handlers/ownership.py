"""What a handler group's consumer does while it owns a partition."""

from time import monotonic

import anyio

from consumers.errors import LeaseLostError
from consumers.handlers.handler_settings import HandlerSettings
from consumers.handlers.lanes import Lanes
from consumers.handlers.lease import Lease
from consumers.handlers.owned_entries import OwnedEntries
from consumers.handlers.server_wait import wait_before_retry
from consumers.handlers.tries import Tries
from consumers.runtime.group import Group
from consumers.runtime.progress import note_read
from consumers.runtime.remembered_entries import RememberedEntries
from events.entry.entry_id import EntryId
from events.errors import ServerUnavailableError
from events.server.server import Server
from events.structured_logger import structured_logger

READ_MAX = 100
"""Entries read at a time: each can have 1 MiB."""

_PRUNED_AFTER_LEASES = 3
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
        place: tuple[Group, OwnedEntries, RememberedEntries],
        tries: Tries,
        settings: HandlerSettings,
    ) -> None:
        self._server = server
        self._lease = lease
        self._group, self._entries, self._remembered = place
        self._tries = tries
        self._settings = settings
        self._is_taken_over = False
        self._looked_at = monotonic()
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
            tasks.start_soon(self._keep_lease)
            async with Lanes.open(self._tries.attempt, self._settings.concurrency) as lanes:
                await self._fill(lanes)
            tasks.cancel_scope.cancel()

    def stop(self) -> None:
        """Read nothing more, and finish the running tries; the other entries stay pending."""
        self._stopping.set()
        self._tries.stop()
        self._waiting.cancel()

    async def _fill(self, lanes: Lanes) -> None:
        """Take over pending entries, then read new ones, whenever there is room.

        After a read whose reply was lost it takes over again: the entries in that reply are pending
        with us, and older than all that will be read.
        """
        failures = 0
        async with self._server.blocking(self._settings.block_ms) as client:
            while not self._stopping.is_set():
                try:
                    if not self._is_taken_over:
                        await self._take_over(lanes)
                    if not await self._read(lanes) and not self._stopping.is_set():
                        with anyio.CancelScope() as self._waiting:
                            await client.call(*self._entries.wait(self._settings.block_ms))
                    failures = 0
                except ServerUnavailableError as error:
                    failures += 1
                    self._is_taken_over = False
                    await wait_before_retry(error, failures)

    async def _take_over(self, lanes: Lanes) -> None:
        """Take all pending entries into hand, in the order of their ids."""
        await self._entries.look_for_losses()
        after: EntryId | None = None
        while count := min(await self._tries.room(), READ_MAX):
            found, gone = await self._entries.pending(after, count)
            if gone:
                await self._entries.losses.note("deleted", gone)
            if not found and not gone:
                break
            after = max([*gone, *(held.entry_id for held in found)])
            taken_over = await self._tries.hold(found)
            note_read(len(taken_over), claimed=True)
            for endpoint_id, held in taken_over:
                lanes.add(endpoint_id, held)
        position = await self._group.keep_position()
        if ended := [tried for tried in await self._entries.tried() if tried <= position]:
            await self._entries.acknowledge(ended[: self._settings.held_max])
        self._is_taken_over = True

    async def _read(self, lanes: Lanes) -> bool:
        """Read the entries for which there is room; return whether there were any."""
        count = min(await self._tries.room(), READ_MAX)
        if not count:
            return False
        found = await self._entries.read(count)
        note_read(len(found))
        self._remembered.note(held.delivery for held in found)
        for endpoint_id, held in await self._tries.hold(found):
            lanes.add(endpoint_id, held)
        return bool(found)

    async def _keep_lease(self) -> None:
        """Renew the lease in time; take over again if entries are pending with others."""
        failures, pause_s = 0, self._settings.lease_ms / 3_000
        while True:
            await anyio.sleep(pause_s if not failures else pause_s / 3)
            with anyio.move_on_after(max(self._lease.left_s, _LAST_RENEWAL_S)):
                try:
                    if await self._lease.renew(self._tries.held):
                        self._is_taken_over = False
                    await self._look_after_group()
                    failures = 0
                except ServerUnavailableError as error:
                    failures += 1
                    self._log.warning("lease_not_renewed", error=str(error), failures=failures)
            if self._lease.left_s <= 0:
                raise LeaseLostError("the lease could not be renewed in time")

    async def _look_after_group(self) -> None:
        """Note losses, and remove consumers that are gone."""
        now = monotonic()
        if now - self._looked_at >= self._settings.lease_ms / 1_000:
            self._looked_at = now
            await self._entries.look_for_losses()
        if now >= self._prune_at:
            await self._group.prune(_PRUNED_AFTER_LEASES * self._settings.lease_ms)
            self._prune_at = now + _PRUNED_AFTER_LEASES * self._settings.lease_ms / 1_000
