"""Decides which entries an owner takes into hand, and remembers where the others begin."""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

import anyio

from consumers.handlers.entry_in_hand import EntryInHand
from events.entry.entry_id import EntryId

ENDPOINTS_ASIDE_MAX = 100_000
"""With so many endpoints that have entries aside, nothing more is read."""

_SHARES = 20


@dataclass(slots=True)
class Aside:
    """Where the entries of an endpoint begin that are pending, but not in hand.

    Attributes:
        first: None of them lies before it.
        due_at: They are not taken into hand before, by the monotonic clock.
    """

    first: EntryId
    due_at: float = 0.0


@dataclass(slots=True)
class Unsaved:
    """What changed in the hands and is still to be written down in Redis."""

    taken: list[EntryId] = field(default_factory=list)
    put_back: list[EntryId] = field(default_factory=list)
    endpoints: set[UUID] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.taken or self.put_back or self.endpoints)


class Hands:
    """The entries in one owner's hands, and the endpoints of which further entries wait aside.

    All of them are pending. An endpoint holds its share at most, and a single entry once half of
    the places are taken: so there is a place for whoever comes, and what is beyond waits aside, in
    order. Once an endpoint has entries aside, its newer ones wait there, too.

    Attributes:
        held: The entries in hand.
        aside: The endpoints that have entries aside.
        wanting: Those of them that hold half of their share at most.
        freed: Set, and replaced, when entries have ended or wait for a next try.
    """

    def __init__(self, held_max: int) -> None:
        self.held: dict[EntryId, EntryInHand] = {}
        self.aside: dict[UUID, Aside] = {}
        self.wanting: set[UUID] = set()
        self.freed = anyio.Event()
        self.unsaved = Unsaved()
        self._held_max = held_max
        self._share = max(1, held_max // _SHARES)
        self._counts: Counter[UUID] = Counter()
        self._due: list[tuple[float, UUID]] = []

    @property
    def room(self) -> int:
        """For how many entries there is a place."""
        if len(self.aside) >= ENDPOINTS_ASIDE_MAX:
            return 0
        return max(0, self._held_max - len(self.held))

    @property
    def is_crowded(self) -> bool:
        """Whether half of the places are taken, and the others are for single entries."""
        return 2 * len(self.held) >= self._held_max

    @property
    def is_sparse(self) -> bool:
        """Whether so few places are taken that there may soon be nothing to try."""
        return 4 * len(self.held) < self._held_max

    def take(self, entry: EntryInHand) -> bool:
        """Take *entry* into hand if its endpoint may hold it; otherwise it waits aside."""
        waits = self.aside.get(entry.endpoint_id)
        if (waits is None or entry.entry_id < waits.first) and self.may_take(entry.endpoint_id):
            self.hold(entry)
            return True
        if waits is None or entry.entry_id < waits.first:
            self.move_aside(entry.endpoint_id, entry.entry_id)
        return False

    def may_take(self, endpoint_id: UUID) -> bool:
        """Whether *endpoint_id* may hold one more entry."""
        share = 1 if self.is_crowded else self._share
        return len(self.held) < self._held_max and self._counts[endpoint_id] < share

    def hold(self, entry: EntryInHand) -> None:
        """Take *entry* into hand."""
        self.held[entry.entry_id] = entry
        self._counts[entry.endpoint_id] += 1
        if self._counts[entry.endpoint_id] > self._share // 2:
            self.wanting.discard(entry.endpoint_id)
        self.unsaved.taken.append(entry.entry_id)

    def move_aside(self, endpoint_id: UUID, first: EntryId, due_at: float = 0.0) -> None:
        """Note that the entries of *endpoint_id* that are not in hand begin with *first*."""
        self.aside[endpoint_id] = Aside(first, due_at)
        self.unsaved.endpoints.add(endpoint_id)
        if due_at:
            self.wanting.discard(endpoint_id)
            heapq.heappush(self._due, (due_at, endpoint_id))
        else:
            self._note_wanting(endpoint_id)

    def empty_aside(self, endpoint_id: UUID) -> None:
        """Note that no entry of *endpoint_id* waits aside."""
        if self.aside.pop(endpoint_id, None) is not None:
            self.unsaved.endpoints.add(endpoint_id)
        self.wanting.discard(endpoint_id)

    def put_back(self, endpoint_id: UUID, entries: Iterable[EntryInHand]) -> None:
        """Put *entries*, all that *endpoint_id* has in hand, aside until the first is due."""
        first = None
        for entry in entries:
            first = first or entry
            del self.held[entry.entry_id]
            self.unsaved.put_back.append(entry.entry_id)
        del self._counts[endpoint_id]
        if first is not None:
            self.move_aside(endpoint_id, first.entry_id, first.due_at)

    def forget(self, ended: Iterable[EntryInHand]) -> None:
        """Let go of entries that have ended."""
        for entry in ended:
            if self.held.pop(entry.entry_id, None) is not None:
                self._counts[entry.endpoint_id] -= 1
                if not self._counts[entry.endpoint_id]:
                    del self._counts[entry.endpoint_id]
                self._note_wanting(entry.endpoint_id)
        self.wake()

    def wake(self) -> None:
        """Wake whoever waits for a change in the hands."""
        self.freed.set()
        self.freed = anyio.Event()

    def next_due_s(self) -> float | None:
        """Let endpoints want that are due; return the seconds until another is, None if none is."""
        now = monotonic()
        while self._due and self._due[0][0] <= now:
            due_at, endpoint_id = heapq.heappop(self._due)
            waits = self.aside.get(endpoint_id)
            if waits is not None and waits.due_at == due_at:
                waits.due_at = 0.0
                self._note_wanting(endpoint_id)
        return self._due[0][0] - now if self._due else None

    def _note_wanting(self, endpoint_id: UUID) -> None:
        waits = self.aside.get(endpoint_id)
        if waits and not waits.due_at and self._counts[endpoint_id] <= self._share // 2:
            self.wanting.add(endpoint_id)
