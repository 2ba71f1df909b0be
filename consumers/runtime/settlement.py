"""Carries out the outcomes of deliveries: acknowledge, retry or give up."""

from collections.abc import Iterable, Sequence
from typing import assert_never

from consumers.runtime.dead_letters import DeadLetters
from consumers.runtime.last_errors import LastErrors
from consumers.runtime.outcome import DeadLetter, Delivery, Handled, Outcome, Retry, Skipped
from consumers.runtime.pending import PendingEntries
from events.log.keys import Keys
from events.log.positions import group_holder
from events.server.server import Server
from events.structured_logger import structured_logger

_CHUNK = 1_000


class Settlement:
    """Carries out outcomes for one consumer of a group in one partition.

    A projector acknowledges what it writes in the same step (`read_model/lua/apply.lua`); all
    other deliveries end here.
    """

    def __init__(
        self, server: Server, keys: Keys, pending: PendingEntries, group: str, consumer: str
    ) -> None:
        partition = pending.partition
        self._keys = [
            keys.events(partition),
            keys.errors(partition, group),
            keys.positions(partition),
        ]
        self._pending = pending
        self._group = group
        self._holder = group_holder(group)
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
        for at in range(0, len(done), _CHUNK):
            ids = [str(delivery.entry_id) for delivery in done[at : at + _CHUNK]]
            await self._end(self._keys, [self._group, self._holder, *ids])
