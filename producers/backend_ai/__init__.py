"""Backend.AI's own event stream and hand-off keys, recorded as our events."""
