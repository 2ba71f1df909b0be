"""Feeds real proxies from the route table."""
