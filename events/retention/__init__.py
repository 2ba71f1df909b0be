"""Which entries may leave Redis, and their removal."""
