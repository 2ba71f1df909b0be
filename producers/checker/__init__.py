"""Probe routes, and record the transitions of their health."""
