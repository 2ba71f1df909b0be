"""The `doctor` and `check` commands."""
