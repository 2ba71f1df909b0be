"""The state of a projection at a position, kept in files."""
