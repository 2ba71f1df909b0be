"""Handlers: effects outside Redis, at least once, those of an endpoint in order."""
