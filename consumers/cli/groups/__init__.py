"""The `groups` commands."""
