"""Feeds Traefik, by its HTTP provider or by its Redis provider, from one configuration."""
