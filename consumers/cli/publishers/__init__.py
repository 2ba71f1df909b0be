"""The commands that feed proxies, and show what each of them has."""
