"""The route table: its definition, and what is asked of it."""
