"""Events of an endpoint as a whole."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, field

from events.catalogue.event import Event, Upcaster
from events.catalogue.health_check import HealthCheck
from events.catalogue.labels import Labels
from events.catalogue.route import ROUTES_MAX
from events.catalogue.upcasters import (
    endpoint_created_v1_v2,
    endpoint_created_v2_v3,
    endpoint_health_check_updated_v1_v2,
    endpoint_health_check_updated_v2_v3,
)

Name = Annotated[str, Meta(min_length=1, max_length=256)]


class Owner(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whose the endpoint is, as far as that is known; 1 to 256 characters each."""

    domain: Name | None = None
    project: Name | None = None
    user: Name | None = None


class EndpointCreatedEvent(Event, frozen=True, kw_only=True, gc=False):
    """An endpoint exists from now on; it has no routes yet.

    Attributes:
        owner: Whose it is; None where nobody has said so.
        labels: At most 64, keys of at most 63 characters, values of at most 256.
    """

    wire_name: ClassVar[str] = "endpoint_created"
    version: ClassVar[int] = 3
    upcasters: ClassVar[Mapping[int, Upcaster]] = MappingProxyType(
        {1: endpoint_created_v1_v2, 2: endpoint_created_v2_v3}
    )

    name: Name
    model: Name
    runtime_variant: Name = "custom"
    open_to_public: bool = False
    health_check: HealthCheck | None = None
    owner: Owner | None = None
    labels: Labels = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.endpoint_id, self.name))  # labels have no hash


class EndpointHealthCheckUpdatedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The routes of the endpoint are checked like this from now on; None: not at all."""

    wire_name: ClassVar[str] = "endpoint_health_check_updated"
    version: ClassVar[int] = 3
    upcasters: ClassVar[Mapping[int, Upcaster]] = MappingProxyType(
        {1: endpoint_health_check_updated_v1_v2, 2: endpoint_health_check_updated_v2_v3}
    )

    health_check: HealthCheck | None


class EndpointReplicasUpdatedEvent(Event, frozen=True, kw_only=True, gc=False):
    """So many routes of the endpoint are wanted from now on, 0 to 1,000."""

    wire_name: ClassVar[str] = "endpoint_replicas_updated"

    replicas: Annotated[int, Meta(ge=0, le=ROUTES_MAX)]


class EndpointReadyEvent(Event, frozen=True, kw_only=True, gc=False):
    """All wanted replicas are healthy: failures to start from before no longer count as retries.

    It is recorded only where there are such failures.
    """

    wire_name: ClassVar[str] = "endpoint_ready"

    replicas: Annotated[int, Meta(ge=0, le=ROUTES_MAX)]


class EndpointDestroyedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The tombstone: the endpoint has no routes any more, and never will again."""

    wire_name: ClassVar[str] = "endpoint_destroyed"
