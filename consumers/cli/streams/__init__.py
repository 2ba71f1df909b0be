"""The `streams` commands."""
