"""What happened, and the log it lies on."""

from events.append import Appended
from events.durability import FSYNC, MEMORY, Durability
from events.endpoint import (
    EndpointCreatedEvent,
    EndpointDestroyedEvent,
    EndpointHealthCheckUpdatedEvent,
)
from events.entry_id import END, START, EntryId
from events.event import Event
from events.fold import fold
from events.health_check import HealthCheck
from events.log import EventLog, open_log
from events.model_service import ModelServiceStatusEvent
from events.recorded import Entry, Metadata, RecordedEvent
from events.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteFailedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
)

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
