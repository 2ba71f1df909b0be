"""The event types, their registry and upcasters: pure."""
