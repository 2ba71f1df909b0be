"""Events about the health of a model service."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from msgspec import Meta, field

from events.catalogue.event import Event

ModelServiceStatus = Literal["healthy", "unhealthy"]
AwareTime = Annotated[datetime, Meta(tz=True)]
Reason = Annotated[str, Meta(max_length=1_024)]
Failures = Annotated[int, Meta(ge=0)]


class ModelServiceStatusEvent(Event, frozen=True, kw_only=True, gc=False):
    """A route has become healthy or unhealthy; single probes are not recorded, only the change.

    *observed_at* is by the observer's clock; the order of events is that of their entry ids.
    """

    wire_name: ClassVar[str] = "model_service_status_updated"

    route_id: UUID
    session_id: UUID | None = None
    new_status: ModelServiceStatus
    reason: Reason | None = None
    observed_at: AwareTime = field(default_factory=lambda: datetime.now(UTC))
    consecutive_failures: Failures = 0
