"""Recorded history, read again: into a new generation, to verify, or as of any moment."""
