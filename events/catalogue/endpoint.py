"""Events of an endpoint as a whole."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

from msgspec import Meta

from events.catalogue.event import Event, Upcaster
from events.catalogue.health_check import HealthCheck
from events.catalogue.upcasters import endpoint_health_check_updated_v1_v2

Name = Annotated[str, Meta(min_length=1, max_length=256)]


class EndpointCreatedEvent(Event, frozen=True, kw_only=True, gc=False):
    """An endpoint exists from now on; it has no routes yet."""

    wire_name: ClassVar[str] = "endpoint_created"

    name: Name
    model: Name
    runtime_variant: Name = "custom"
    open_to_public: bool = False
    health_check: HealthCheck | None = None


class EndpointHealthCheckUpdatedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The routes of the endpoint are checked like this from now on; None: not at all."""

    wire_name: ClassVar[str] = "endpoint_health_check_updated"
    version: ClassVar[int] = 2
    upcasters: ClassVar[Mapping[int, Upcaster]] = MappingProxyType(
        {1: endpoint_health_check_updated_v1_v2}
    )

    health_check: HealthCheck | None


class EndpointDestroyedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The tombstone: the endpoint has no routes any more, and never will again."""

    wire_name: ClassVar[str] = "endpoint_destroyed"
