"""The documents that a projector keeps in memory, so that it need not read them again."""

from collections.abc import Set as AbstractSet
from random import sample
from uuid import UUID

from projections.read_model.store import State

_DROPPED_SHARE = 10
"""When room is made, at least so many of the documents go at once: choosing takes time."""


class HeldDocuments(dict[UUID, tuple[int, State]]):
    """Endpoint -> revision and state."""

    def make_room(self, count: int, held_max: int, wanted: AbstractSet[UUID]) -> None:
        """Drop documents that are not *wanted* now, where with *count* more there are too many.

        Those that go are drawn from all: events that go round all endpoints would never find one
        of them held, were it the ones used longest ago.
        """
        surplus = len(self) + count - held_max
        if surplus <= 0:
            return
        others = [endpoint_id for endpoint_id in self if endpoint_id not in wanted]
        dropped = max(surplus, held_max // _DROPPED_SHARE)
        for endpoint_id in sample(others, min(dropped, len(others))):
            del self[endpoint_id]
