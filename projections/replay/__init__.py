"""Fold recorded history again: to rebuild a generation, to verify it, or to see a past state."""
