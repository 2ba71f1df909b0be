"""The health state: its definition, and what is asked of it."""
