"""The state of groups, and the changes that operators make to them."""
