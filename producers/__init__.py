"""Whatever records facts: commands in, events out."""

from producers.endpoints.endpoint_service import EndpointService, Recorded

__all__ = ["EndpointService", "Recorded"]
