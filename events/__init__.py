"""The events of model services, and the log that stores them."""

import logging
from typing import TYPE_CHECKING

from events.lazy_names import lazy_names

if TYPE_CHECKING:
    from events.archive.settings import ArchiveSettings
    from events.catalogue.deep_check import DeepCheck
    from events.catalogue.endpoint import (
        EndpointCreatedEvent,
        EndpointDestroyedEvent,
        EndpointHealthCheckUpdatedEvent,
        EndpointReadyEvent,
        EndpointReplicasUpdatedEvent,
        Owner,
    )
    from events.catalogue.event import Event
    from events.catalogue.health_check import HealthCheck, Tls
    from events.catalogue.model_service import ModelServiceStatusEvent
    from events.catalogue.route import (
        EndpointRouteListUpdatedEvent,
        RouteCreatedEvent,
        RouteDrainedEvent,
        RouteEvictionProposedEvent,
        RouteFailedEvent,
        RouteRecord,
        RouteStartedEvent,
        RouteTerminatedEvent,
        RouteTerminatingEvent,
        RouteTrafficRatioUpdatedEvent,
        TrafficSwitchedEvent,
    )
    from events.catalogue.route_flapping import RouteFlappingEvent
    from events.catalogue.traffic_split import Rollout, TrafficSplitUpdatedEvent
    from events.entry.entry_id import END, START, EntryId
    from events.entry.entry_line import EntryLineError
    from events.entry.recorded import Entry, Metadata, RecordedEvent, fold
    from events.errors import (
        AppendError,
        ConflictError,
        DamagedValueError,
        EventsError,
        IncompleteAppendError,
        InvalidEventError,
        InvalidExpressionError,
        InvalidNamespaceError,
        InvalidPositionError,
        LayoutError,
        NoGroupError,
        NotAdmittedError,
        NotDurableError,
        SealedLogError,
        ServerRefusedError,
        ServerUnavailableError,
        TrimmedError,
        UncertainAppendError,
        UndecodableEntryError,
        UnexpectedReplyError,
        UnknownCommandError,
        UnknownEventTypeError,
        WrongTypeError,
    )
    from events.history.history import History, open_history
    from events.log.batch import FSYNC, MEMORY, Appended, Durability
    from events.log.log import EventLog, open_log
    from events.log.protocol import AppendableLog, ReadableLog
    from events.server.settings import ServerSettings
    from events.streams.foreign_stream import NoStreamError, WrongStreamError, open_foreign_stream
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "events.archive.settings": ("ArchiveSettings",),
            "events.catalogue.deep_check": ("DeepCheck",),
            "events.catalogue.endpoint": (
                "EndpointCreatedEvent",
                "EndpointDestroyedEvent",
                "EndpointHealthCheckUpdatedEvent",
                "EndpointReadyEvent",
                "EndpointReplicasUpdatedEvent",
                "Owner",
            ),
            "events.catalogue.event": ("Event",),
            "events.catalogue.health_check": ("HealthCheck", "Tls"),
            "events.catalogue.model_service": ("ModelServiceStatusEvent",),
            "events.catalogue.route": (
                "EndpointRouteListUpdatedEvent",
                "RouteCreatedEvent",
                "RouteDrainedEvent",
                "RouteEvictionProposedEvent",
                "RouteFailedEvent",
                "RouteRecord",
                "RouteStartedEvent",
                "RouteTerminatedEvent",
                "RouteTerminatingEvent",
                "RouteTrafficRatioUpdatedEvent",
                "TrafficSwitchedEvent",
            ),
            "events.catalogue.route_flapping": ("RouteFlappingEvent",),
            "events.catalogue.traffic_split": ("Rollout", "TrafficSplitUpdatedEvent"),
            "events.entry.entry_id": ("END", "START", "EntryId"),
            "events.entry.entry_line": ("EntryLineError",),
            "events.entry.recorded": ("Entry", "Metadata", "RecordedEvent", "fold"),
            "events.errors": (
                "AppendError",
                "ConflictError",
                "DamagedValueError",
                "EventsError",
                "IncompleteAppendError",
                "InvalidEventError",
                "InvalidExpressionError",
                "InvalidNamespaceError",
                "InvalidPositionError",
                "LayoutError",
                "NoGroupError",
                "NotAdmittedError",
                "NotDurableError",
                "SealedLogError",
                "ServerRefusedError",
                "ServerUnavailableError",
                "TrimmedError",
                "UncertainAppendError",
                "UndecodableEntryError",
                "UnexpectedReplyError",
                "UnknownCommandError",
                "UnknownEventTypeError",
                "WrongTypeError",
            ),
            "events.history.history": ("History", "open_history"),
            "events.log.batch": ("FSYNC", "MEMORY", "Appended", "Durability"),
            "events.log.log": ("EventLog", "open_log"),
            "events.log.protocol": ("AppendableLog", "ReadableLog"),
            "events.server.settings": ("ServerSettings",),
            "events.streams.foreign_stream": (
                "NoStreamError",
                "WrongStreamError",
                "open_foreign_stream",
            ),
        },
    )

__all__ = [
    "END",
    "FSYNC",
    "MEMORY",
    "START",
    "AppendError",
    "AppendableLog",
    "Appended",
    "ArchiveSettings",
    "ConflictError",
    "DamagedValueError",
    "DeepCheck",
    "Durability",
    "EndpointCreatedEvent",
    "EndpointDestroyedEvent",
    "EndpointHealthCheckUpdatedEvent",
    "EndpointReadyEvent",
    "EndpointReplicasUpdatedEvent",
    "EndpointRouteListUpdatedEvent",
    "Entry",
    "EntryId",
    "EntryLineError",
    "Event",
    "EventLog",
    "EventsError",
    "HealthCheck",
    "History",
    "IncompleteAppendError",
    "InvalidEventError",
    "InvalidExpressionError",
    "InvalidNamespaceError",
    "InvalidPositionError",
    "LayoutError",
    "Metadata",
    "ModelServiceStatusEvent",
    "NoGroupError",
    "NoStreamError",
    "NotAdmittedError",
    "NotDurableError",
    "Owner",
    "ReadableLog",
    "RecordedEvent",
    "Rollout",
    "RouteCreatedEvent",
    "RouteDrainedEvent",
    "RouteEvictionProposedEvent",
    "RouteFailedEvent",
    "RouteFlappingEvent",
    "RouteRecord",
    "RouteStartedEvent",
    "RouteTerminatedEvent",
    "RouteTerminatingEvent",
    "RouteTrafficRatioUpdatedEvent",
    "SealedLogError",
    "ServerRefusedError",
    "ServerSettings",
    "ServerUnavailableError",
    "Tls",
    "TrafficSplitUpdatedEvent",
    "TrafficSwitchedEvent",
    "TrimmedError",
    "UncertainAppendError",
    "UndecodableEntryError",
    "UnexpectedReplyError",
    "UnknownCommandError",
    "UnknownEventTypeError",
    "WrongStreamError",
    "WrongTypeError",
    "fold",
    "open_foreign_stream",
    "open_history",
    "open_log",
]

# A library leaves the handling of its log records to the program that uses it.
logging.getLogger(__name__).addHandler(logging.NullHandler())
