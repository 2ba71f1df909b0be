"""The `dead` commands."""
