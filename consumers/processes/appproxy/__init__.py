"""Starts an AppProxy of our own: its coordinator, one worker, and the database of the first."""
