"""Examines the server and the log, and reports what is wrong and what to do about it."""
