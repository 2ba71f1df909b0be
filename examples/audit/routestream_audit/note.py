"""The event: an operator left a note about an endpoint."""

from typing import Annotated, ClassVar

from msgspec import Meta

from events import Event


class NoteAddedEvent(Event, frozen=True, kw_only=True):
    """Somebody says why something was done to the endpoint."""

    wire_name: ClassVar[str] = "audit_note_added"

    author: Annotated[str, Meta(min_length=1, max_length=256)]
    text: Annotated[str, Meta(min_length=1, max_length=4_096)]
