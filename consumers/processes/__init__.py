"""Runs groups, checkers and retention as processes, with a supervisor and orderly stops."""
