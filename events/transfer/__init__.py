"""The log, moved to another server or played once more."""
