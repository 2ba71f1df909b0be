"""The audit: who did what to an endpoint, as a package beside routestream."""

from routestream_audit.note import NoteAddedEvent
from routestream_audit.notes import NOTES, Note, Notes
from routestream_audit.trail import AUDIT

__all__ = ["AUDIT", "NOTES", "Note", "NoteAddedEvent", "Notes"]
