"""Reads one partition for a group, has each batch processed, and settles each entry."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from time import monotonic
from typing import Annotated

import anyio
from msgspec import Meta

from consumers.runtime.group import Group
from consumers.runtime.group_history import GroupHistory
from consumers.runtime.interruption import INTERRUPTIONS, Interruptions
from consumers.runtime.new_entries import BatchSize, NewEntries
from consumers.runtime.outcome import Delivery, Outcome, RetryPolicy, given_up_unseen
from consumers.runtime.pending import ALONE_FROM, PendingEntries
from consumers.runtime.processor import Processor
from consumers.runtime.progress import ConsumerProgress
from consumers.runtime.settlement import Settlement
from events.errors import NoGroupError, ServerRefusedError, ServerUnavailableError
from events.limits import Limited
from events.log.log import EventLog
from events.streams.waiting_connections import connection_name, wake_others
from events.structured_logger import structured_logger

PRUNE_EVERY_S = 60.0
"""How often consumers are looked for that are gone; at each start, too."""

_PRUNED_AFTER_CLAIM_TIMES = 3
_UNBLOCK_EVERY_S = 0.05


class ConsumerSettings(Limited, frozen=True):
    """How a consumer reads.

    Attributes:
        batch_size: Entries read and processed together, at most; fewer where they are large.
        block_ms: The longest wait for new entries; pending ones are looked for between two waits.
        claim_idle_ms: An entry that its consumer has not ended for so long is claimed.
        policy: What happens to entries that fail.
    """

    batch_size: Annotated[int, Meta(ge=1, le=10_000)] = 10_000
    block_ms: Annotated[int, Meta(ge=10, le=600_000)] = 2_500
    claim_idle_ms: Annotated[int, Meta(ge=1, le=86_400_000)] = 5_000
    policy: RetryPolicy = RetryPolicy()


class Consumer:
    """A named member of a group, for one partition.

    `run` reads batches, and `_process` passes each one to the processor, which does the work; the
    settlement ends each entry. A failed entry is an outcome; while the server is away, it waits.
    """

    shares_freely = True

    def __init__(
        self,
        log: EventLog,
        partition: int,
        name: tuple[str, str],
        processor: Processor,
        settings: ConsumerSettings,
    ) -> None:
        group, self.name = name
        self._event_log = log
        self._server = log.server
        self._keys = log.keys
        self._partition = partition
        self._settings = settings
        self._processor = processor
        self._group = Group(log.server, log.keys, partition, group)
        self._history = GroupHistory(log.server, log.keys, partition, name)
        self._pending = PendingEntries(log.server, log.keys, partition, group, self.name)
        self.progress = ConsumerProgress(group, partition, self.name)
        self._settlement = Settlement(log.server, log.keys, self._pending, group, self.name)
        self._batch_size = BatchSize(settings.batch_size)
        self._pruned_at: float | None = None
        self._stopping = anyio.Event()
        self._stopped = anyio.Event()
        self._new: NewEntries | None = None
        self._is_assigned = True
        self._has_joined = False
        self._told = anyio.Event()
        self._log = structured_logger(__name__).bind(
            group=group, consumer=self.name, partition=partition
        )
        self._interruptions = Interruptions(self._log, self.progress, self._stopping)

    async def run(self) -> None:
        """Consume until stopped, however often the server or the group goes away."""
        self.progress.follow()
        while await self._is_to_read():
            try:
                async with self._begun() as new:
                    self._interruptions.over()
                    await self._consume(new)
            except INTERRUPTIONS as error:
                await self._interruptions.wait_out(error)
        if not self._interruptions.failures:
            await self._leave()
        self._log.info("consumer_stopped")
        self._stopped.set()

    async def stop(self) -> None:
        """Stop softly: read nothing more, finish what is in flight; return when that is done."""
        self._stopping.set()
        self._told.set()
        while not self._stopped.is_set():
            await self._wake()
            with anyio.move_on_after(_UNBLOCK_EVERY_S):
                await self._stopped.wait()

    async def assign(self) -> None:
        """Read the partition from now on."""
        self._is_assigned = True
        self._told.set()

    async def withdraw(self) -> None:
        """Finish what is in flight, read nothing more, and stand by."""
        if self._is_assigned:
            self._is_assigned = False
            self._told = anyio.Event()
            await self._wake()

    async def take_over(self, gone: str) -> None:
        """Claim at once what is pending with the consumer *gone*: to fold it twice does no harm."""
        if self._is_assigned:
            with suppress(ServerUnavailableError, ServerRefusedError):
                if await self._group.hand_back(gone):
                    await self._wake()

    async def _wake(self) -> None:
        if self._new is not None:
            await self._new.wake()

    async def _is_to_read(self) -> bool:
        """Wait until the partition is ours to read; return False if a stop came first."""
        if not self._is_assigned and self._has_joined:
            self._has_joined = False
            await self._leave()
        while not self._is_assigned and not self._stopping.is_set():
            self.progress.waiting()
            await self._told.wait()
        return not self._stopping.is_set()

    @property
    def _is_ending(self) -> bool:
        return self._stopping.is_set() or not self._is_assigned

    @asynccontextmanager
    async def _begun(self) -> AsyncGenerator[NewEntries]:
        """Prepare layout, processor and group; then open the read connection."""
        await self._history.compare()
        await self._event_log.restore_layout(self._partition)
        start = await self._processor.prepare()
        await self._group.ensure(start)
        await self._group.join(self.name)
        self._has_joined = True
        await self._history.look()
        self._pruned_at = None
        member = (self._group.name, self.name)
        block_ms = self._settings.block_ms
        async with NewEntries.open(
            self._server, (self._keys, self._partition), member, self._history, block_ms
        ) as new:
            name = connection_name(self._keys, self._partition, *member)
            await new.introduce(name)
            self._new = new
            self._log.info("consumer_started", start=str(start))
            self.progress.consuming()
            yield new

    async def _consume(self, new: NewEntries) -> None:
        """Process batches until stopped; then process what was requested ahead."""
        async with aclosing(self._batches(new)) as batches:
            async for batch in batches:
                await self._process(batch)
                if self._is_ending:
                    break
        if outstanding := await new.outstanding():
            await self._process(outstanding)

    async def _batches(self, new: NewEntries) -> AsyncGenerator[Sequence[Delivery]]:
        """Yield our own pending entries; then, until stopped, those that are due, idle or new."""
        size = self._batch_size
        async for batch in self._pending.own(size.count):
            yield batch
        while not self._is_ending:
            async for batch in self._pending.due(size.count):
                yield batch
            if not self._pending.next_look_s:
                await self._look_after_group()
                async for batch in self._pending.idle(size.count, self._settings.claim_idle_ms):
                    self.progress.claimed(batch)
                    yield batch
            await new.ask(size.count, self._wait_ms())
            arrived = await new.receive()
            self.progress.read()
            if not arrived:
                self._pending.look_now()
                await self._processor.idle()
                continue
            self._history.note(arrived)
            size.note_batch(arrived)
            if len(arrived) == new.count and not self._is_ending:
                # There is a backlog: Redis looks for the next batch while we process this one.
                await new.ask(size.count, self._settings.block_ms)
            yield arrived

    def _wait_ms(self) -> int:
        """Return how long to wait for new entries: at most until the next due try, or next look."""
        limits_s = [self._settings.block_ms / 1_000, self._pending.next_look_s]
        if self._pending.next_due_s is not None:
            limits_s.append(self._pending.next_due_s)
        return max(1, round(min(limits_s) * 1_000))

    async def _look_after_group(self) -> None:
        """Remove consumers that are gone, and keep the group's position."""
        if self._pruned_at is None or monotonic() - self._pruned_at >= PRUNE_EVERY_S:
            await self._group.prune(_PRUNED_AFTER_CLAIM_TIMES * self._settings.claim_idle_ms)
            await self._group.redate()
            await self._group.keep_position()
            self._pruned_at = monotonic()

    async def _process(self, batch: Sequence[Delivery]) -> None:
        self.progress.processing(batch)
        # An entry that was always delivered in a batch may have failed because of another in it.
        deliveries_max = max(self._settings.policy.tries_max, ALONE_FROM + 1)
        exhausted = [d for d in batch if d.deliveries > deliveries_max]
        ended: list[tuple[Delivery, Outcome]] = [
            (delivery, given_up_unseen(delivery.deliveries - 1)) for delivery in exhausted
        ]
        if len(exhausted) < len(batch):
            processable = (
                [d for d in batch if d.deliveries <= deliveries_max] if exhausted else batch
            )
            ended += await self._processor.process(processable)
        dead = await self._settlement.settle(ended)
        self.progress.settled(ended, dead)

    async def _leave(self) -> None:
        """Hand back our pending entries, wake the others to claim them, and leave the group."""
        member = (self._group.name, self.name)
        try:
            await self._group.keep_position()
            handed = await self._group.hand_back(self.name)
            await self._group.leave(self.name)
            if handed:
                await wake_others(self._server, self._keys, self._partition, member)
        except (NoGroupError, ServerUnavailableError, ServerRefusedError) as error:
            self._log.warning("consumer_kept", why=str(error))
