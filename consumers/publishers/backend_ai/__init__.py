"""Feeds Backend.AI's own AppProxy."""
