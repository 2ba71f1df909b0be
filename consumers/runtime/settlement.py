"""Carries out the outcomes of deliveries: acknowledge, retry or give up."""

from collections.abc import Iterable, Sequence
from typing import assert_never

from consumers.runtime.dead_letters import DeadLetters
from consumers.runtime.last_errors import LastErrors
from consumers.runtime.outcome import DeadLetter, Delivery, Handled, Outcome, Retry, Skipped
from consumers.runtime.pending import PendingEntries
from events.entry.entry_id import EntryId
from events.log.keys import Keys
from events.server.server import Server
from events.structured_logger import structured_logger

_CHUNK = 1_000
_FAILED_MAX = 10_000


class Settlement:
    """Carries out outcomes for one consumer of a group in one partition.

    A projector acknowledges what it writes in the same step (`read_model/lua/apply.lua`); all
    other deliveries end here.
    """

    def __init__(
        self, server: Server, keys: Keys, pending: PendingEntries, group: str, consumer: str
    ) -> None:
        partition = pending.partition
        self._client = server.client
        self._failed: set[EntryId] = set()
        self._keys = [keys.events(partition), keys.errors(partition, group)]
        self._pending = pending
        self._group = group
        self._consumer = consumer
        self._dead = DeadLetters(server, keys, partition, group)
        self._errors = LastErrors(server, keys, partition, group)
        self._end = server.client.script("consumers.runtime", "acknowledge")
        self._log = structured_logger(__name__).bind(
            group=group, consumer=consumer, partition=partition
        )

    async def settle(self, ended: Iterable[tuple[Delivery, Outcome]]) -> int:
        """End each delivery as its outcome says; return how many became dead letters."""
        done = []
        failed = []
        dead = 0
        for delivery, outcome in ended:
            match outcome:
                case Handled() | Skipped():
                    done.append(delivery)
                case Retry(after_s=after_s, error=error):
                    self._pending.later(delivery, after_s)
                    if error:
                        failed.append((delivery.entry_id, error))
                        self._failed.add(delivery.entry_id)
                    self._log.warning(
                        "entry_retried",
                        entry_id=str(delivery.entry_id),
                        deliveries=delivery.deliveries,
                        after_s=round(after_s, 3),
                        error=error,
                    )
                case DeadLetter():
                    dead += await self._give_up(delivery, outcome)
                case _:
                    assert_never(outcome)
        # Acknowledge first: a crash in between then loses an error, but repeats no effect.
        await self._acknowledge(done)
        await self._errors.keep(failed)
        if len(self._failed) > _FAILED_MAX:
            self._failed.clear()
        return dead

    async def _give_up(self, delivery: Delivery, outcome: DeadLetter) -> bool:
        moved = await self._dead.move(delivery, outcome, self._consumer)
        if moved:
            self._log.error(
                "entry_dead",
                entry_id=str(delivery.entry_id),
                deliveries=delivery.deliveries,
                reason=outcome.reason,
                error=outcome.error,
            )
        return moved

    async def _acknowledge(self, done: Sequence[Delivery]) -> None:
        never_failed = [str(d.entry_id) for d in done if not self._has_failed(d)]
        failed_before = [str(d.entry_id) for d in done if self._has_failed(d)]
        if never_failed:
            await self._client.call("XACK", self._keys[0], self._group, *never_failed)
        for at in range(0, len(failed_before), _CHUNK):
            await self._end(self._keys, [self._group, *failed_before[at : at + _CHUNK]])

    def _has_failed(self, delivery: Delivery) -> bool:
        """Whether an error may be kept of it: it was delivered before, or failed with us."""
        return delivery.deliveries > 1 or delivery.entry_id in self._failed
