"""The health of routes over time."""
