"""Record commands as events, each decided on the endpoint's state in the log."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import anyio
import msgspec

from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus
from events.catalogue.route import RouteRecord, TrafficStatus
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata
from events.errors import ConflictError
from events.log.batch import MEMORY, Appended, Durability
from events.log.protocol import AppendableLog
from events.server.backoff import Backoff
from producers.endpoints import decisions
from producers.endpoints.decisions import Decision
from producers.endpoints.endpoint_names import EndpointNames
from producers.endpoints.endpoint_state import EndpointStates
from producers.endpoints.remarks import remarks_on
from producers.errors import ContendedEndpointError
from producers.life_cycle import route_end, session_effects
from producers.life_cycle.session_effects import SessionChange
from producers.model_definitions.model_definition_settings import ModelDefinitionSettings
from producers.model_definitions.model_folder import ModelSource, health_check_of
from projections.route_table.endpoint import Endpoint

TRIES_MAX = 20
_AFTER_CONFLICT = Backoff(first_s=0.002, most_s=0.2)


class Recorded(msgspec.Struct, frozen=True):
    """What a command did: the state on which it was decided, and what was appended.

    *entry_ids* is empty where the endpoint already was as requested.
    """

    before: Endpoint
    decision: Decision
    entry_ids: tuple[EntryId, ...]

    @property
    def remarks(self) -> list[str]:
        """What the command did not do, where that is other than its name suggests."""
        return remarks_on(self.before, self.decision)


class EndpointService:
    """Records what happens to endpoints.

    Every command reads the endpoint, decides (`decisions`), and appends at the version
    that it saw; when another writer has changed the endpoint meanwhile, it reads and decides again.

    All commands raise what their decision raises (`producers.errors`, `InvalidEventError`),
    `ContendedEndpointError` after too many conflicts, and what `AppendableLog.append` raises.

    The service works on any log, `events.testing.MemoryLog` included; see `EndpointStates`.
    """

    def __init__(
        self, log: AppendableLog, durability: Durability = MEMORY, metadata: Metadata | None = None
    ) -> None:
        self._log = log
        self._durability = durability
        self._metadata = metadata
        self._states = EndpointStates(log)
        self._names = EndpointNames(log, self._states)

    async def create(self, event: EndpointCreatedEvent) -> Recorded:
        """Create an endpoint, under a name that no other endpoint has."""
        await self.claim_name(event)
        return await self.record(
            event.endpoint_id, lambda endpoint: decisions.create(endpoint, event)
        )

    async def create_from_model_folder(
        self,
        event: EndpointCreatedEvent,
        source: ModelSource | None,
        settings: ModelDefinitionSettings | None = None,
    ) -> Recorded:
        """Create an endpoint that is checked as its runtime variant or its model definition says.

        *source* is the model's folder, the URL of one behind a storage proxy, or the content of the
        definition. It is read this once: nothing later in the endpoint's life needs it.

        Raises:
            ModelFolderError: The model definition cannot be read, and so all of its subclasses.
            InvalidModelDefinitionError: There is a mistake in it.
        """
        check = await health_check_of(event.runtime_variant, source, settings)
        return await self.create(msgspec.structs.replace(event, health_check=check))

    async def claim_name(self, event: EndpointCreatedEvent) -> None:
        """Keep the name for the endpoint that is to be created, for 10 s until it is.

        Raises:
            NameTakenError: Another endpoint has it.
        """
        await self._names.claim(event)

    async def update_health_check(
        self, endpoint_id: UUID, health_check: HealthCheck | None
    ) -> Recorded:
        """Set how the routes are checked from now on; None: not at all."""
        return await self.record(
            endpoint_id, lambda endpoint: decisions.update_health_check(endpoint, health_check)
        )

    async def set_route_list(self, endpoint_id: UUID, routes: Sequence[RouteRecord]) -> Recorded:
        """Replace the endpoint's routes."""
        return await self.record(
            endpoint_id, lambda endpoint: decisions.set_route_list(endpoint, routes)
        )

    async def create_route(self, endpoint_id: UUID, route: RouteRecord) -> Recorded:
        """Add a route that is provisioning."""
        return await self.record(
            endpoint_id, lambda endpoint: decisions.create_route(endpoint, route)
        )

    async def start_route(self, endpoint_id: UUID, route: RouteRecord) -> Recorded:
        """Record that the route's session runs at the address that *route* has."""
        return await self.record(
            endpoint_id, lambda endpoint: decisions.start_route(endpoint, route)
        )

    async def terminate_route(
        self,
        endpoint_id: UUID,
        route_id: UUID,
        *,
        reason: str | None = None,
        drain_s: float | None = None,
    ) -> Recorded:
        """Give the route no new traffic, and let it drain; None: as the keeper is set."""
        return await self.record(
            endpoint_id,
            lambda endpoint: decisions.terminate_route(
                endpoint, route_id, reason=reason, drain_s=drain_s
            ),
        )

    async def end_drain(
        self, endpoint_id: UUID, route_id: UUID, *, reason: str | None = None
    ) -> Recorded:
        """Record that the drain of a terminating route is over."""
        return await self.record(
            endpoint_id, lambda endpoint: route_end.end_drain(endpoint, route_id, reason)
        )

    async def remove_route(
        self, endpoint_id: UUID, route_id: UUID, *, reason: str | None = None
    ) -> Recorded:
        """Record that the route's session is gone: the route leaves the table."""
        return await self.record(
            endpoint_id, lambda endpoint: route_end.remove(endpoint, route_id, reason)
        )

    async def fail_route(
        self, endpoint_id: UUID, route_id: UUID, errors: Sequence[str] = ()
    ) -> Recorded:
        """Record that the route could not start, or broke for good."""
        return await self.record(
            endpoint_id, lambda endpoint: route_end.fail(endpoint, route_id, errors)
        )

    async def record_session(
        self, endpoint_id: UUID, session_id: UUID, change: SessionChange
    ) -> Recorded:
        """Record what a change of a session means for the endpoint's routes in it."""
        return await self.record(
            endpoint_id,
            lambda endpoint: session_effects.session_changed(endpoint, session_id, change),
        )

    async def set_replicas(self, endpoint_id: UUID, replicas: int) -> Recorded:
        """Say how many routes are wanted, 0 to 1,000."""
        return await self.record(
            endpoint_id, lambda endpoint: route_end.set_replicas(endpoint, replicas)
        )

    async def set_traffic_ratio(
        self, endpoint_id: UUID, route_id: UUID, traffic_ratio: float
    ) -> Recorded:
        """Set the route's weight, 0 to 1,000,000."""
        return await self.record(
            endpoint_id,
            lambda endpoint: decisions.set_traffic_ratio(endpoint, route_id, traffic_ratio),
        )

    async def switch_traffic(
        self,
        endpoint_id: UUID,
        route_id: UUID | None,
        traffic_status: TrafficStatus,
        *,
        reason: str | None = None,
    ) -> Recorded:
        """Switch a route's traffic on or off, or the endpoint's where *route_id* is None."""
        return await self.record(
            endpoint_id,
            lambda endpoint: decisions.switch_traffic(
                endpoint, route_id, traffic_status, reason=reason
            ),
        )

    async def record_status(
        self,
        endpoint_id: UUID,
        route_id: UUID,
        new_status: ModelServiceStatus,
        *,
        observed_at: datetime | None = None,
        reason: str | None = None,
        consecutive_failures: int = 0,
    ) -> Recorded:
        """Record a route's health, if it is a change."""
        return await self.record(
            endpoint_id,
            lambda endpoint: decisions.record_status(
                endpoint,
                route_id,
                new_status,
                observed_at=observed_at,
                reason=reason,
                consecutive_failures=consecutive_failures,
            ),
        )

    async def record_flapping(
        self,
        endpoint_id: UUID,
        route_id: UUID,
        *,
        flapping: bool,
        observed_at: datetime | None = None,
        reason: str | None = None,
    ) -> Recorded:
        """Record that a route flaps and is held unhealthy, or does no more, if it is a change."""
        return await self.record(
            endpoint_id,
            lambda endpoint: decisions.record_flapping(
                endpoint, route_id, flapping=flapping, observed_at=observed_at, reason=reason
            ),
        )

    async def destroy(self, endpoint_id: UUID) -> Recorded:
        """Destroy the endpoint, with all its routes."""
        return await self.record(endpoint_id, decisions.destroy)

    async def read(self, endpoint_id: UUID) -> Endpoint:
        """Return the endpoint as the log has it now."""
        endpoint, _ = await self._states.read(endpoint_id)
        return endpoint

    async def record(self, endpoint_id: UUID, decide: Callable[[Endpoint], Decision]) -> Recorded:
        """Append the events that *decide* returns for the state; after a conflict, decide again."""
        for tries in range(1, TRIES_MAX + 1):
            endpoint, head = await self._states.read(endpoint_id)
            decision = decide(endpoint)
            if not decision:
                return Recorded(endpoint, (), ())
            try:
                appended = await self._append(decision, head)
            except ConflictError:
                await anyio.sleep(_AFTER_CONFLICT.delay_s(tries))
                continue
            return Recorded(endpoint, decision, appended.entry_ids)
        raise ContendedEndpointError(
            f"endpoint {endpoint_id} was changed by others {TRIES_MAX} times in a row; try again"
        )

    async def _append(self, decision: Decision, head: EntryId) -> Appended:
        return await self._log.append(
            *decision, expected=head, durability=self._durability, metadata=self._metadata
        )
