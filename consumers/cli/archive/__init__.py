"""The `archive` commands."""
