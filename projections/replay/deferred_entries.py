"""Hold back entries of one type, because most of them do not affect the final state."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar
from uuid import UUID

from events.entry.codec import payload_decoder
from events.entry.stored_json import UNREADABLE
from projections.projection import Gathering
from projections.replay.partition_history import RawEntry
from projections.replay.raw_entry import LONGER, read_metadata, subject_of

State = TypeVar("State")

_BETWEEN = " "
_END = b"\0"
"""Separates the parts of a held entry; JSON never contains it."""


class NewestEntries:
    """Holds the newest entry of each endpoint and route, or list of routes.

    Each is checked before it replaces another: what cannot be read is counted, and replaces none.
    Entries of an endpoint in *in_order* are never held. Without *by_route*, it holds the newest
    entry of each endpoint.
    """

    def __init__(
        self, kind: tuple[bytes, bytes], in_order: AbstractSet[str], *, by_route: bool
    ) -> None:
        name, version = kind
        self._by_route = by_route
        self._usual = [b"name", name, b"v", version, b"id", b"", b"source", b"", b"payload"]
        self._in_order = in_order
        self._read = payload_decoder(name)
        self._held: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, entries: Iterable[RawEntry]) -> list[RawEntry]:
        """Hold usual entries, in the order of the log; return those that are to be folded now."""
        held, in_order, by_route = self._held, self._in_order, self._by_route
        fold_now = []
        for entry in entries:
            entry_id, flat = entry
            try:
                subject = subject_of(flat[9])
                self._check(flat)
            except UNREADABLE:
                fold_now.append(entry)
                continue
            endpoint, route = subject.endpoint_id, subject.route_id
            if endpoint in in_order:
                fold_now.append(entry)
                continue
            if not by_route:
                route = ""
            elif subject.routes:
                route = ",".join([listed.route_id for listed in subject.routes])
            # One compact copy, so that the whole chunk is freed at once: the next chunk reuses
            # that memory while it is in the CPU's caches.
            packed = entry_id + _END + flat[9]
            key = endpoint + _BETWEEN + route
            held[key] = packed if len(flat) < LONGER else packed + _END + flat[11]
        return fold_now

    def _check(self, flat: Sequence[bytes]) -> None:
        """Raise one of `UNREADABLE` if the codec could not read the entry's values."""
        self._read(flat[9])
        flat[5].decode()
        flat[7].decode()
        if len(flat) >= LONGER and flat[11]:
            read_metadata(flat[11])

    def taken(self) -> Iterator[tuple[str, RawEntry]]:
        """Yield each held entry with its endpoint as it is spelled, and release it."""
        held = self._held
        while held:
            key, packed = held.popitem()
            entry_id, payload, *metadata = packed.split(_END, 2)
            last_fields = [b"metadata", *metadata] if metadata else metadata
            yield key.partition(_BETWEEN)[0], (entry_id, [*self._usual, payload, *last_fields])


class GatheredEntries(Generic[State]):
    """Holds entries of which many count, decoded only as far as their projection needs."""

    def __init__(self, gathering: Gathering[State]) -> None:
        self._gathering = gathering

    def __len__(self) -> int:
        return len(self._gathering)

    def hold(self, entries: Iterable[RawEntry]) -> list[RawEntry]:
        """Hold usual entries, in the order of the log; return those that are to be folded now."""
        add, fold_now = self._gathering.add, []
        for entry in entries:
            entry_id, flat = entry
            try:
                if len(flat) >= LONGER and flat[11]:
                    read_metadata(flat[11])
                is_held = add(entry_id, flat[9])
            except UNREADABLE:
                is_held = False
            if not is_held:
                fold_now.append(entry)
        return fold_now

    def taken(self) -> Iterator[tuple[UUID, Callable[[State], State]]]:
        """Yield each endpoint with the function that folds its entries, and release them."""
        return self._gathering.taken()
