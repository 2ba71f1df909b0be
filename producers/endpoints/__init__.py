"""The endpoint service, its decisions, and model definitions."""
