"""What happened, and the log it lies on."""

import logging

from events.catalogue.endpoint import (
    EndpointCreatedEvent,
    EndpointDestroyedEvent,
    EndpointHealthCheckUpdatedEvent,
)
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteFailedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
)
from events.entry.entry_id import END, START, EntryId
from events.entry.recorded import Entry, Metadata, RecordedEvent, fold
from events.log.batch import FSYNC, MEMORY, Appended, Durability
from events.log.log import EventLog, open_log

__all__ = [
    "END",
    "FSYNC",
    "MEMORY",
    "START",
    "Appended",
    "Durability",
    "EndpointCreatedEvent",
    "EndpointDestroyedEvent",
    "EndpointHealthCheckUpdatedEvent",
    "EndpointRouteListUpdatedEvent",
    "Entry",
    "EntryId",
    "Event",
    "EventLog",
    "HealthCheck",
    "Metadata",
    "ModelServiceStatusEvent",
    "RecordedEvent",
    "RouteCreatedEvent",
    "RouteFailedEvent",
    "RouteRecord",
    "RouteStartedEvent",
    "RouteTerminatingEvent",
    "RouteTrafficRatioUpdatedEvent",
    "fold",
    "open_log",
]

# A library leaves it to its program what becomes of its log records.
logging.getLogger(__name__).addHandler(logging.NullHandler())
