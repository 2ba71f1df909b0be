"""Metrics, vital signs, and the HTTP server that shows them."""
