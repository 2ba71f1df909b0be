"""What Redis knows of a stream and its groups."""
