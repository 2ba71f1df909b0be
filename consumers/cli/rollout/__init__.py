"""The command that moves traffic from revision to revision."""
