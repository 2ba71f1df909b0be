"""The consumer: reads one partition for a group, has each batch processed, settles each entry."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from time import monotonic

import anyio
import msgspec
import structlog

from consumers.delivery import Delivery
from consumers.group import Group
from consumers.new_entries import NewEntries
from consumers.outcome import Outcome, RetryPolicy, given_up_unseen
from consumers.pending import ALONE_FROM, PendingEntries
from consumers.processor import Processor
from consumers.settlement import Settlement
from events.backoff import Backoff
from events.errors import NoGroupError, ServerRefusedError, ServerUnavailableError
from events.log import EventLog

_UNBLOCK_EVERY_S = 0.05


class ConsumerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a consumer reads.

    Attributes:
        batch_size: Entries read and processed together, at most.
        block_ms: The longest wait for new entries; between two waits pending ones are looked for.
        claim_idle_ms: An entry that its consumer has not ended for so long is claimed.
        policy: What becomes of entries that fail.
    """

    batch_size: int = 10_000
    block_ms: int = 2_000
    claim_idle_ms: int = 5_000
    policy: RetryPolicy = RetryPolicy()

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= 10_000:
            raise ValueError(f"batch_size is {self.batch_size}, 1 to 10000 is allowed")
        if self.block_ms < 1:
            raise ValueError(f"block_ms is {self.block_ms}, the least is 1")
        if self.claim_idle_ms < 1:
            raise ValueError(f"claim_idle_ms is {self.claim_idle_ms}, the least is 1")


class Consumer:
    """A named member of a group, for one partition.

    `run` reads a batch, `_process` has it worked on, the processor does the work, the settlement
    ends each entry. What fails is an outcome; what takes the server away is waited out.
    """

    def __init__(
        self,
        log: EventLog,
        partition: int,
        name: tuple[str, str],
        processor: Processor,
        settings: ConsumerSettings,
    ) -> None:
        group, self.name = name
        self._server = log.server
        self._keys = log.keys
        self._partition = partition
        self._settings = settings
        self._processor = processor
        self._group = Group(log.server, log.keys, partition, group)
        self._pending = PendingEntries(log.server, log.keys, partition, group, self.name)
        self._settlement = Settlement(log.server, log.keys, self._pending, group, self.name)
        self._stopping = anyio.Event()
        self._stopped = anyio.Event()
        self._connection: int | None = None
        self._log = structlog.get_logger().bind(
            group=group, consumer=self.name, partition=partition
        )

    async def run(self) -> None:
        """Consume until stopped, however often the server or the group goes away."""
        backoff = Backoff(first_s=0.05, most_s=5.0)
        failures = 0
        while not self._stopping.is_set():
            try:
                start = await self._processor.prepare()
                await self._group.ensure(start)
                await self._group.join(self.name)
                async with self._new_entries() as new:
                    self._connection = await new.connection_id()
                    self._log.info("consumer_started", start=str(start))
                    failures = 0
                    await self._consume(new)
            except NoGroupError as error:
                self._log.error("group_lost", error=str(error))
            except ServerUnavailableError as error:
                failures += 1
                self._log.warning("server_unavailable", error=str(error), failures=failures)
                with anyio.move_on_after(backoff.delay_s(failures)):
                    await self._stopping.wait()
        if not failures:
            await self._leave()
        self._stopped.set()

    async def stop(self) -> None:
        """Stop softly: read nothing more, finish what is in flight; return when that is done."""
        self._stopping.set()
        while not self._stopped.is_set():
            if self._connection is not None:
                # A read that is cut off could take entries with it; one that is woken takes none.
                with suppress(ServerUnavailableError):
                    await self._server.client.call("CLIENT UNBLOCK", self._connection)
            with anyio.move_on_after(_UNBLOCK_EVERY_S):
                await self._stopped.wait()

    async def _consume(self, new: NewEntries) -> None:
        """Process batch after batch until stopped, and then what was asked for ahead."""
        async with aclosing(self._batches(new)) as batches:
            async for batch in batches:
                await self._process(batch)
                if self._stopping.is_set():
                    break
        if rest := await new.rest():
            await self._process(rest)

    async def _batches(self, new: NewEntries) -> AsyncGenerator[Sequence[Delivery]]:
        """Yield our own pending entries, then what is due, idle or new, until stopped."""
        size, settings = self._settings.batch_size, self._settings
        async for batch in self._pending.own(size):
            yield batch
        claimed_at = monotonic()
        while not self._stopping.is_set():
            async for batch in self._pending.due(size):
                yield batch
            if monotonic() - claimed_at >= settings.claim_idle_ms / 2_000:
                async for batch in self._pending.idle(size, settings.claim_idle_ms):
                    yield batch
                claimed_at = monotonic()
            await new.ask(size, self._block_ms())
            arrived = await new.receive()
            if not arrived:
                await self._processor.idle()
                continue
            if len(arrived) == size and not self._stopping.is_set():
                # There is a backlog: Redis looks for the next batch while we process this one.
                await new.ask(size, settings.block_ms)
            yield arrived

    def _block_ms(self) -> int:
        """Wait for new entries, but not longer than until the next due try."""
        due_s = self._pending.next_due_s
        block_ms = self._settings.block_ms
        return block_ms if due_s is None else max(1, min(block_ms, round(due_s * 1_000)))

    async def _process(self, batch: Sequence[Delivery]) -> None:
        began_at = monotonic()
        # What was only ever delivered with others may owe its end to one of them.
        deliveries_max = max(self._settings.policy.deliveries_max, ALONE_FROM + 1)
        hopeless = [d for d in batch if d.deliveries > deliveries_max]
        ended: list[tuple[Delivery, Outcome]] = [
            (delivery, given_up_unseen(delivery.deliveries - 1)) for delivery in hopeless
        ]
        if len(hopeless) < len(batch):
            worth = [d for d in batch if d.deliveries <= deliveries_max] if hopeless else batch
            ended += await self._processor.process(worth)
        await self._settlement.settle(ended)
        self._log.debug(
            "batch_settled",
            entries=len(batch),
            first=str(batch[0].entry_id),
            last=str(batch[-1].entry_id),
            not_handled=len(ended),
            ms=round((monotonic() - began_at) * 1_000, 1),
        )

    def _new_entries(self) -> AbstractAsyncContextManager[NewEntries]:
        of = (self._group.name, self.name)
        return NewEntries.open(
            self._server, self._keys, self._partition, of, self._settings.block_ms
        )

    async def _leave(self) -> None:
        try:
            await self._group.leave(self.name)
        except (ServerUnavailableError, ServerRefusedError) as error:
            self._log.warning("consumer_kept", why=str(error))
        self._log.info("consumer_stopped")
