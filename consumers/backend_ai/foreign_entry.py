"""Decode what is delivered of Backend.AI's stream."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from consumers.runtime.outcome import Delivery
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import UndecodableEntryError
from producers.backend_ai import wire
from producers.backend_ai.wire import MalformedEntryError

WANTED = frozenset(
    {"endpoint_route_list_updated", "model_service_status_updated", *wire.SESSION_EVENTS}
)
"""The events that say something about routes; all others are skipped without being decoded."""


class ForeignEntry(msgspec.Struct, frozen=True):
    """One entry of Backend.AI's stream.

    Attributes:
        entry_id: Its id in that stream.
        fields: Its fields as they were written.
        content: What it says.
        source: Who wrote it.
        copies: How often it was appended again for a group whose handler failed; 0: the original.
        tries: Tries to record it that were begun before this one.
    """

    entry_id: EntryId
    fields: Mapping[bytes, bytes]
    content: wire.WireEvent
    source: bytes
    copies: int
    tries: int

    @classmethod
    def read(cls, delivery: Delivery) -> "ForeignEntry":
        """Decode an entry that was delivered.

        Raises:
            UndecodableEntryError: No release of Backend.AI writes such an entry.
        """
        fields = delivery.entry.fields
        try:
            content, copies = wire.decode(fields), wire.retry_count(fields)
        except MalformedEntryError as error:
            raise UndecodableEntryError(str(error)) from None
        source = fields.get(b"source", b"")
        return cls(delivery.entry_id, fields, content, source, copies, delivery.deliveries)


def subject_of(entry: Entry) -> UUID | None:
    """Return the endpoint of a list, else the session that is told of; None if there is none."""
    try:
        content = wire.decode(entry.fields)
    except MalformedEntryError:
        return None
    match content:
        case wire.RouteListUpdated(endpoint_id=endpoint_id):
            return endpoint_id
        case wire.StatusUpdated(session_id=session_id) | wire.SessionChanged(session_id=session_id):
            return session_id
        case wire.Other():
            return None
