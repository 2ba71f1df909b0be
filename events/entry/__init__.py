"""Entry ids, positions, recorded events and their codec."""
