"""Move a log with its read models and its groups."""
