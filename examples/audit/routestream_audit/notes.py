"""The projection: the newest notes about each endpoint."""

from uuid import UUID

import msgspec
from msgspec.structs import asdict, replace

from events import START, EntryId, RecordedEvent
from projections import Projection
from routestream_audit.note import NoteAddedEvent

KEPT_MAX = 20
"""Notes of one endpoint that its document has; the log has all of them."""


class Note(msgspec.Struct, frozen=True):
    """What somebody wrote, and the entry in which it was recorded."""

    at: EntryId
    author: str
    text: str


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one endpoint: its newest notes, oldest first."""

    endpoint_id: UUID
    version: EntryId = START
    notes: tuple[Note, ...] = ()


class NotesDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON document of a state."""

    revision: int
    endpoint_id: UUID
    version: EntryId
    notes: tuple[Note, ...]


def evolve(state: Notes, recorded: RecordedEvent) -> Notes:
    """Return the state after one more event, in whatever order and however often they come.

    Every event moves `version`, also one that changes nothing else: so it can be seen that the
    document has taken it in.
    """
    event, at = recorded.event, recorded.entry_id
    if isinstance(event, NoteAddedEvent):
        notes = {*state.notes, Note(at, event.author, event.text)}
        newest = sorted(notes, key=lambda note: note.at)[-KEPT_MAX:]
        state = replace(state, notes=tuple(newest)) if newest != list(state.notes) else state
    return replace(state, version=at) if at > state.version else state


_DECODER = msgspec.json.Decoder(NotesDocument)


def encode(state: Notes, revision: int) -> bytes:
    """Return the document of *state*."""
    return msgspec.json.encode(NotesDocument(revision=revision, **asdict(state)))


def decode(document: bytes) -> tuple[int, Notes]:
    """Return the revision and the state of *document*; raise anything if it cannot be read."""
    fields = asdict(_DECODER.decode(document))
    return fields.pop("revision"), Notes(**fields)


NOTES = Projection(
    name="audit-notes",
    version=1,
    initial=lambda endpoint_id: Notes(endpoint_id=endpoint_id),
    evolve=evolve,
    document=NotesDocument,
    encode=encode,
    decode=decode,
)
