"""Who of a group consumes which partition: its living processes share them."""
