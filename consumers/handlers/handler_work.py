"""What a handler group does, for which events, and from which position."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID

import msgspec

from consumers.runtime.outcome import Delivery
from consumers.runtime.processor import Handler
from events.catalogue.event import Event
from events.entry import codec
from events.entry.entry_id import END, EntryId
from events.entry.recorded import Entry, RecordedEvent


def _recorded_event(delivery: Delivery) -> RecordedEvent:
    return codec.decode(delivery.entry)


class HandlerWork(msgspec.Struct, frozen=True):
    """What a handler group does.

    Attributes:
        handler: Does the work for one event; gets what *read* returns.
        wanted: Wire names of the events that are given to it, None for all. The others are
            skipped without being decoded.
        start: The entry after which a new group begins, `END` for the newest.
        read: Decodes an entry that was delivered; its deliveries are the tries begun before. An
            EventsError says why it cannot be read.
        subject_of: Returns what an entry is about, None if it names nothing. Entries about the
            same are handled in order.
    """

    handler: Callable[[Any], Awaitable[None]]
    wanted: frozenset[str] | None = None
    start: EntryId = END
    read: Callable[[Delivery], Any] = _recorded_event
    subject_of: Callable[[Entry], UUID | None] = codec.subject_of

    @classmethod
    def of(
        cls, handler: Handler, wanted: Iterable[type[Event]] | None, start: EntryId
    ) -> "HandlerWork":
        """Return the work of *handler* for the types *wanted*, None for all."""
        names = None if wanted is None else frozenset(kind.wire_name for kind in wanted)
        return cls(handler, names, start)

    def wants(self, name: bytes | None) -> bool:
        """Whether the handler gets events of this wire name, or an entry without one is broken."""
        if self.wanted is not None:
            return (name or b"").decode("utf-8", "replace") in self.wanted
        return not name or codec.is_known_type(name)
