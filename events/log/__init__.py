"""The log: append, read, follow; its keys, partitions and positions."""
