"""Entries of one type whose folding is deferred, for most of them come to nothing."""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar
from uuid import UUID

from projections.projection import Gathering
from projections.replay.partition_history import RawEntry
from projections.replay.raw_entry import LONGER, UNREADABLE, read_metadata, subject_of

State = TypeVar("State")

_BETWEEN = " "
_END = b"\0"
"""Behind each part of what is held back; no JSON has it."""


class NewestEntries:
    """Holds, of each endpoint and route or routes, the newest entry, undecoded.

    Entries of an endpoint that *in_order* has are never held. Where not *by_route*, it is the
    newest of the endpoint.
    """

    def __init__(
        self, kind: tuple[bytes, bytes], in_order: AbstractSet[str], *, by_route: bool
    ) -> None:
        name, version = kind
        self._by_route = by_route
        self._usual = [b"name", name, b"v", version, b"id", b"", b"source", b"", b"payload"]
        self._in_order = in_order
        self._held: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, entries: Iterable[RawEntry]) -> list[RawEntry]:
        """Hold usual entries, in the order of the log; return those that are to be folded now."""
        held, in_order, by_route = self._held, self._in_order, self._by_route
        left = []
        for entry in entries:
            entry_id, flat = entry
            try:
                subject = subject_of(flat[9])
            except UNREADABLE:
                left.append(entry)
                continue
            endpoint, told = subject.endpoint_id, subject.route_id
            if endpoint in in_order:
                left.append(entry)
                continue
            if not by_route:
                told = ""
            elif subject.routes:
                told = ",".join([one.route_id for one in subject.routes])
            # A copy in one piece, so that all that was read is freed at once: memory that is used
            # again and again is warm, and what is held for long makes it cold, and so slow.
            one = entry_id + _END + flat[9]
            key = endpoint + _BETWEEN + told
            held[key] = one if len(flat) < LONGER else one + _END + flat[11]
        return left

    def taken(self) -> Iterator[tuple[str, RawEntry]]:
        """Yield what was held, with its endpoint as it is spelled; it is held no more."""
        held = self._held
        while held:
            key, one = held.popitem()
            entry_id, payload, *metadata = one.split(_END, 2)
            more = [b"metadata", *metadata] if metadata else metadata
            yield key.partition(_BETWEEN)[0], (entry_id, [*self._usual, payload, *more])


class GatheredEntries(Generic[State]):
    """Holds entries of which many count, read no further than their projection needs."""

    def __init__(self, gathering: Gathering[State]) -> None:
        self._gathering = gathering

    def __len__(self) -> int:
        return len(self._gathering)

    def hold(self, entries: Iterable[RawEntry]) -> list[RawEntry]:
        """Hold usual entries, in the order of the log; return those that are to be folded now."""
        add, left = self._gathering.add, []
        for entry in entries:
            entry_id, flat = entry
            try:
                if len(flat) >= LONGER and flat[11]:
                    read_metadata(flat[11])
                is_held = add(entry_id, flat[9])
            except UNREADABLE:
                is_held = False
            if not is_held:
                left.append(entry)
        return left

    def taken(self) -> Iterator[tuple[UUID, Callable[[State], State]]]:
        """Yield endpoints, each with what folds its entries; they are held no more."""
        return self._gathering.taken()
