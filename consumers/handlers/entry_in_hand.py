"""An entry that its partition's owner holds in memory until it ends."""

from dataclasses import dataclass
from uuid import UUID

from consumers.runtime.outcome import Delivery
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry

UNREADABLE = UUID(int=0)
"""Stands for the endpoint of entries that name none: they share a lane, and one share."""


@dataclass(slots=True)
class EntryInHand:
    """An entry and the history of its tries, in this process and in earlier ones.

    Attributes:
        entry: The entry that was delivered.
        endpoint_id: The endpoint that it is about; `UNREADABLE` if it names none.
        begun: Tries that were begun.
        failures: Tries that failed.
        due_at: When the next try may begin, by the monotonic clock.
        is_claimed: Whether it was pending with another consumer before.
    """

    entry: Entry
    endpoint_id: UUID = UNREADABLE
    begun: int = 0
    failures: int = 0
    due_at: float = 0.0
    is_claimed: bool = False

    @property
    def entry_id(self) -> EntryId:
        """The entry's id in its partition."""
        return self.entry.entry_id

    @property
    def unseen(self) -> int:
        """Tries that neither failed nor ended: their processes died or lost their lease."""
        return self.begun - self.failures

    @property
    def delivery(self) -> Delivery:
        """The entry as its dead letter records it."""
        return Delivery(self.entry, self.begun)
