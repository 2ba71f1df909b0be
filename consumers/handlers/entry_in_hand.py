"""An entry that its partition's owner holds in memory until it ends."""

from dataclasses import dataclass

from consumers.runtime.outcome import Delivery
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry


@dataclass(slots=True)
class EntryInHand:
    """An entry and the history of its tries, in this process and in earlier ones.

    Attributes:
        entry: The entry that was delivered.
        begun: Tries that were begun.
        failures: Tries that failed.
        after_s: Seconds until the next try may begin.
    """

    entry: Entry
    begun: int = 0
    failures: int = 0
    after_s: float = 0.0

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
