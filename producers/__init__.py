"""Whatever records facts: commands in, events out."""

import logging

from producers.endpoints.endpoint_service import EndpointService, Recorded

__all__ = ["EndpointService", "Recorded"]

# A library leaves it to its program what becomes of its log records.
logging.getLogger(__name__).addHandler(logging.NullHandler())
