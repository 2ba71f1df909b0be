"""The registry: which class an entry's name stands for."""

from types import MappingProxyType

from events.catalogue.endpoint import (
    EndpointCreatedEvent,
    EndpointDestroyedEvent,
    EndpointHealthCheckUpdatedEvent,
)
from events.catalogue.event import Event
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteFailedEvent,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
)

EVENT_TYPES: tuple[type[Event], ...] = (
    EndpointCreatedEvent,
    EndpointHealthCheckUpdatedEvent,
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteFailedEvent,
    RouteTrafficRatioUpdatedEvent,
    ModelServiceStatusEvent,
    EndpointDestroyedEvent,
)
"""The catalogue, each type in its newest version."""

BY_WIRE_NAME = MappingProxyType({kind.wire_name: kind for kind in EVENT_TYPES})
"""The type that each name on the wire stands for."""
