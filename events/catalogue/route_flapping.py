"""The event that a route flaps, and that it flaps no more."""

from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

from msgspec import field

from events.catalogue.event import Event
from events.catalogue.model_service import AwareTime, Reason


class RouteFlappingEvent(Event, frozen=True, kw_only=True, gc=False):
    """A route's health has begun to change too often, or has come to rest again.

    While it flaps the route is held unhealthy, and single changes are not recorded. *observed_at*
    is by the observer's clock.
    """

    wire_name: ClassVar[str] = "route_flapping_updated"

    route_id: UUID
    flapping: bool
    reason: Reason | None = None
    observed_at: AwareTime = field(default_factory=lambda: datetime.now(UTC))
