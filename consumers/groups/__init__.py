"""The state of groups, and what people do to them."""
