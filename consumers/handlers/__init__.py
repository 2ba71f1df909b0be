"""Runs handlers: effects outside Redis, at least once, in order for each endpoint."""
