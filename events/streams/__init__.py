"""What Redis knows about a stream and its groups."""
