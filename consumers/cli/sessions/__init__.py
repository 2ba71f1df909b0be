"""The commands about compute sessions, and which of them a scale-down ends first."""
