"""Hold back entries of one type, because most of them do not affect the final state."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar
from uuid import UUID

from events.catalogue.event import Event
from events.entry.codec import payload_decoder
from events.entry.stored_json import UNREADABLE
from projections.projection import Gathering
from projections.replay.partition_history import RawEntry
from projections.replay.raw_entry import LONGER, read_metadata
from projections.replay.spelled_payloads import BETWEEN, SpelledPayloads

State = TypeVar("State")

_END = b"\0"
"""Separates the parts of a held entry; JSON never contains it."""


class NewestEntries:
    """Holds the newest entry of each endpoint and route or list of routes that are spelled alike.

    Each is checked before it replaces another: what cannot be read is counted, and replaces none.
    Entries of an endpoint in *in_order* are never held. Without *by_route*, it holds the newest
    entry of each endpoint.
    """

    def __init__(self, kind: type[Event], in_order: AbstractSet[str], *, by_route: bool) -> None:
        name, version = kind.wire_name.encode(), b"%d" % kind.version
        self._usual = [b"name", name, b"v", version, b"id", b"", b"source", b"", b"payload"]
        self._in_order = in_order
        self._by_route = by_route
        self._payloads = SpelledPayloads(kind)
        self._decode = payload_decoder(name)
        self._held: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, entries: Iterable[RawEntry]) -> list[RawEntry]:
        """Hold usual entries, in the order of the log; return those that are to be folded now."""
        held, by_route, in_order = self._held, self._by_route, self._in_order
        read, texts_of, form = self._payloads.read, self._payloads.texts_of, self._payloads.form
        fold_now = []
        for entry in entries:
            entry_id, flat = entry
            payload = flat[9]
            try:
                key = form % texts_of(read(payload))
                # What is spelled as in an entry that is held is valid, too.
                if key not in held or not by_route:
                    self._decode(payload)
                if not (flat[5].isascii() and flat[7].isascii()) or len(flat) >= LONGER:
                    _check_others(flat)
            except UNREADABLE:
                fold_now.append(entry)
                continue
            if not by_route:
                key = key.partition(BETWEEN)[0]
            if in_order and key.partition(BETWEEN)[0] in in_order:
                fold_now.append(entry)
                continue
            # One compact copy, so that the whole chunk is freed at once: the next chunk reuses
            # that memory while it is in the CPU's caches.
            packed = entry_id + _END + payload
            held[key] = packed if len(flat) < LONGER else packed + _END + flat[11]
        return fold_now

    def taken(self) -> Iterator[tuple[str, RawEntry]]:
        """Yield each held entry with its endpoint as it is spelled, and release it.

        Those of an endpoint come one after another, while its state is in the CPU's caches.
        """
        held = self._held
        for key in sorted(held):
            packed = held.pop(key)
            entry_id, payload, *metadata = packed.split(_END, 2)
            last_fields = [b"metadata", *metadata] if metadata else metadata
            yield key.partition(BETWEEN)[0], (entry_id, [*self._usual, payload, *last_fields])


def _check_others(flat: Sequence[bytes]) -> None:
    """Raise one of `UNREADABLE` if the codec could not read what a usual entry has besides."""
    flat[5].decode()
    flat[7].decode()
    if len(flat) >= LONGER and flat[11]:
        read_metadata(flat[11])


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
