"""Count how the requests of proxies ended, route by route, beside the log."""
