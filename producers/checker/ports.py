"""What a health checker stands on: the routes, whose they are, and where it records."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol
from uuid import UUID

from events.catalogue.model_service import ModelServiceStatus
from projections.route_table.endpoint import Endpoint


class Reader(Protocol):
    """A route table in memory that another task keeps up to date."""

    def endpoints(self) -> Iterable[Endpoint]:
        """Return every endpoint, as last known."""

    async def changed(self) -> None:
        """Wait until something has changed."""


class Recorder(Protocol):
    """Records a route's health in the log, if it is a change."""

    async def record_status(
        self,
        endpoint_id: UUID,
        route_id: UUID,
        new_status: ModelServiceStatus,
        *,
        observed_at: datetime,
        reason: str,
        consecutive_failures: int,
    ) -> object:
        """Record *new_status*, if it is a change."""

    async def record_flapping(
        self,
        endpoint_id: UUID,
        route_id: UUID,
        *,
        flapping: bool,
        observed_at: datetime,
        reason: str,
    ) -> object:
        """Record that a route flaps, or does no more, if it is a change."""


class EndpointOwnership(Protocol):
    """Which endpoints this checker owns; see `membership.Membership`."""

    def owns(self, endpoint_id: UUID) -> bool:
        """Whether this checker probes the endpoint's routes."""

    async def changed(self) -> None:
        """Wait until the owned endpoints may have changed."""
