"""What a group does with the entries that it is delivered."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from consumers.runtime.outcome import Delivery, Outcome, RetryPolicy, outcome_of
from events.entry.codec import decode
from events.entry.entry_id import START, EntryId
from events.entry.recorded import RecordedEvent

Handler = Callable[[RecordedEvent], Awaitable[None]]
"""Does a group's work for one event; it fails by raising, and never acknowledges."""


class Processor(Protocol):
    """Works on deliveries, and returns the outcomes of those that it did not settle itself."""

    async def prepare(self) -> EntryId:
        """Get ready to process; return the position after which a new group begins."""

    async def process(self, batch: Sequence[Delivery]) -> list[tuple[Delivery, Outcome]]:
        """Work on *batch*; return the deliveries still to be settled, with their outcomes."""

    async def idle(self) -> None:
        """Do what is due while nothing is delivered."""


class HandlerProcessor:
    """Gives one event after another to a handler."""

    def __init__(self, handler: Handler, policy: RetryPolicy, start: EntryId = START) -> None:
        self._handler = handler
        self._policy = policy
        self._start = start

    async def prepare(self) -> EntryId:
        """Return the start that was given."""
        return self._start

    async def process(self, batch: Sequence[Delivery]) -> list[tuple[Delivery, Outcome]]:
        """Return how each delivery ended."""
        return [(delivery, await self._outcome(delivery)) for delivery in batch]

    async def idle(self) -> None:
        """Nothing to do."""

    async def _outcome(self, delivery: Delivery) -> Outcome:
        try:
            await self._handler(decode(delivery.entry))
        except Exception as error:  # noqa: BLE001 - however a handler fails, its entry has an end
            return outcome_of(error, delivery.deliveries, self._policy)
        return outcome_of(None, delivery.deliveries, self._policy)
