"""What a handler group does, for which events, and from which position."""

from collections.abc import Iterable

import msgspec

from consumers.runtime.processor import Handler
from events.catalogue.event import Event
from events.entry.codec import is_known_type
from events.entry.entry_id import END, EntryId


class HandlerWork(msgspec.Struct, frozen=True):
    """What a handler group does.

    Attributes:
        handler: Does the work for one event.
        wanted: Wire names of the events that are given to it, None for all. The others are
            skipped without being decoded.
        start: The entry after which a new group begins, `END` for the newest.
    """

    handler: Handler
    wanted: frozenset[str] | None = None
    start: EntryId = END

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
        return not name or is_known_type(name)
