"""Record Backend.AI's own event stream and hand-off keys as our events."""

from producers.backend_ai.capture import UnreadableCaptureError, read_capture
from producers.backend_ai.handoff_key import MalformedHandoffError, MissingHandoffKeyError
from producers.backend_ai.wire import MalformedEntryError

__all__ = [
    "MalformedEntryError",
    "MalformedHandoffError",
    "MissingHandoffKeyError",
    "UnreadableCaptureError",
    "read_capture",
]
