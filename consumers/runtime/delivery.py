"""The delivery: an entry as a group handed it to one of its consumers."""

import msgspec

from events.entry.entry_id import EntryId
from events.entry.recorded import Entry


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """An entry, and how often it was delivered, this time included."""

    entry: Entry
    deliveries: int = 1

    @property
    def entry_id(self) -> EntryId:
        """The entry's place in its partition."""
        return self.entry.entry_id
