"""Whatever records facts: commands in, events out."""

from producers.endpoint_service import EndpointService, Recorded

__all__ = ["EndpointService", "Recorded"]
