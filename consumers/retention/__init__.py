"""What holds the log back: groups, archive, snapshots and settings."""
