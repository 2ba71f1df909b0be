"""Keep the state of a projection at a position in files."""
