"""The `model-definition` commands."""
