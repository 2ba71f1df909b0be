"""One pass over a group's pending entries, for those that wait aside."""

from collections.abc import Collection
from uuid import UUID

from consumers.handlers.entry_in_hand import EntryInHand
from consumers.handlers.hands import Hands
from events.entry.entry_id import START, EntryId


class Sweep:
    """Takes into hand what waits aside, in order, as far as there is room.

    It begins at the first entry of the endpoints *wanting*, and ends when none of them may take
    more. Without any it goes over all pending entries: it also finds what nobody had noted, such as
    an entry that was requeued or that another consumer was given.

    Attributes:
        after: The last entry that was looked at.
        is_over: Whether it has ended.
    """

    def __init__(self, hands: Hands, wanting: Collection[UUID] = ()) -> None:
        self._hands = hands
        self._wanting = frozenset(wanting)
        self._start = min((hands.aside[one].first for one in wanting), default=START)
        self._taking_part = set(wanting)
        self._refused: set[UUID] = set()
        self.after = self._start.before()
        self.is_over = False

    def take(self, entry: EntryInHand) -> bool:
        """Take *entry*, which is not in hand, if it is its endpoint's turn and there is room."""
        endpoint_id, hands = entry.endpoint_id, self._hands
        waits = hands.aside.get(endpoint_id)
        if endpoint_id in self._refused or (waits and waits.first < self._start):
            return False
        self._taking_part.add(endpoint_id)
        if not (waits and waits.due_at) and hands.may_take(endpoint_id):
            hands.hold(entry)
            if waits:
                hands.move_aside(endpoint_id, max(waits.first, entry.entry_id.after()))
            return True
        self.refuse(endpoint_id)
        if waits and waits.due_at:
            waits.first = min(waits.first, entry.entry_id)
        else:
            hands.move_aside(endpoint_id, entry.entry_id)
        return False

    def refuse(self, endpoint_id: UUID) -> None:
        """Take nothing more of *endpoint_id*."""
        self._refused.add(endpoint_id)

    def advance(self, looked_at: Collection[EntryId], *, is_end: bool) -> None:
        """Note that all entries up to the last of *looked_at* were offered."""
        self.after = max(looked_at, default=self.after)
        if is_end:
            for endpoint_id in self._taking_part - self._refused:
                self._hands.empty_aside(endpoint_id)
        self.is_over = is_end or (bool(self._wanting) and self._wanting <= self._refused)
