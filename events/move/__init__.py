"""Move a log while it runs: to another number of partitions, or to another server."""
