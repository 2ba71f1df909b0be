"""The settlement: the one place where deliveries end."""

from collections.abc import Iterable, Sequence
from typing import assert_never

import structlog

from consumers.dead_letters import DeadLetters
from consumers.delivery import Delivery
from consumers.outcome import DeadLetter, Handled, Outcome, Retry, Skipped
from consumers.pending import PendingEntries
from events.keys import Keys
from events.server import Server

_log = structlog.get_logger()


class Settlement:
    """Carries out outcomes for one consumer of a group in one partition.

    What a projector writes it acknowledges in the same step (`projections/lua/apply.lua`); all
    else ends here.
    """

    def __init__(
        self, server: Server, keys: Keys, pending: PendingEntries, group: str, consumer: str
    ) -> None:
        self._client = server.client
        self._stream = keys.events(pending.partition)
        self._pending = pending
        self._group = group
        self._consumer = consumer
        self._dead = DeadLetters(server, keys, pending.partition, group)

    async def settle(self, ended: Iterable[tuple[Delivery, Outcome]]) -> None:
        """End each delivery as its outcome says."""
        done = []
        for delivery, outcome in ended:
            match outcome:
                case Handled() | Skipped():
                    done.append(delivery)
                case Retry(after_s=after_s):
                    self._pending.later(delivery, after_s)
                    _log.warning(
                        "entry_retried",
                        entry_id=str(delivery.entry_id),
                        deliveries=delivery.deliveries,
                        after_s=round(after_s, 3),
                    )
                case DeadLetter():
                    await self._give_up(delivery, outcome)
                case _:
                    assert_never(outcome)
        await self._acknowledge(done)

    async def _give_up(self, delivery: Delivery, outcome: DeadLetter) -> None:
        if await self._dead.move(delivery, outcome, self._consumer):
            _log.error(
                "entry_dead",
                entry_id=str(delivery.entry_id),
                deliveries=delivery.deliveries,
                reason=outcome.reason,
                error=outcome.error,
            )

    async def _acknowledge(self, done: Sequence[Delivery]) -> None:
        if done:
            ids = (str(delivery.entry_id) for delivery in done)
            await self._client.call("XACK", self._stream, self._group, *ids)
