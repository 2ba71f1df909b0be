"""The `replay` and `snapshot` commands."""
