"""What an operator looks at and does: groups, and how much of the log is kept."""
