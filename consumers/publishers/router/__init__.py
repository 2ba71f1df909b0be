"""Feeds the routers that come with model servers."""
