"""The `health` commands."""
