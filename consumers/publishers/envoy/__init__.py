"""Feeds Envoy by the REST form of its discovery protocol."""
