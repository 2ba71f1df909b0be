"""The groups that read the log, and the `routestream` command."""
