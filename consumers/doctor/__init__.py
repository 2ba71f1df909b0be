"""The doctor: looks at the server and the log, and says what is wrong and what to do about it."""
