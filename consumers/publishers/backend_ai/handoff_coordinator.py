"""Keeps a coordinator of 25.13 to 26.4.3 equal to the route table, by keys and an event."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from consumers.errors import UnreachableProxyError
from consumers.publishers.backend_ai.bulk_request import Creation
from consumers.publishers.backend_ai.coordinator_api import CoordinatorApi, RefusedCallError
from consumers.publishers.backend_ai.core_redis import CoreRedis
from consumers.publishers.backend_ai.handoff_entry import HandoffEntry, HandoffTable, handoff_table
from consumers.publishers.backend_ai.settings import BackendAISettings
from consumers.publishers.proxy_ledger import ProxyNotes, Refusal
from consumers.publishers.routing_rule import called_in_refusals
from consumers.publishers.table_snapshot import TableSnapshot
from events.catalogue.model_service import ModelServiceStatus
from events.entry.entry_id import EntryId
from producers.backend_ai.wire import RouteListUpdated, StatusUpdated

EVENTS_AT_ONCE = 50
"""Events that wait for a coordinator at a time: others cut the stream to about 128 entries."""

READ_WITHIN_S = 10.0
"""Seconds in which a coordinator that runs reads an event."""

SETTLED_WITHIN_S = 5.0
"""Seconds in which it has carried an event out, unless it fails."""

DOUBTFUL_WITHIN_S = 0.5
"""Seconds in which it has to carry out one that failed before, so that no other waits for long."""

_UNSETTLED = (
    "the coordinator has read its event, but not carried it out: it may not know the endpoint; its"
    " log says why"
)


class HandoffCoordinator:
    """One coordinator that reads its core Redis.

    *api* is there where the endpoints, too, are made by us.
    """

    def __init__(
        self,
        redis: CoreRedis,
        api: CoordinatorApi | None,
        notes: ProxyNotes,
        settings: BackendAISettings,
    ) -> None:
        self.notes = notes
        self._redis = redis
        self._api = api
        self._settings = settings
        self._made: dict[UUID, Creation] = {}
        self._deleted: set[UUID] = set()
        self._held: dict[UUID, HandoffEntry] = {}
        self._statuses: dict[UUID, ModelServiceStatus] = {}
        self._unsettled: set[UUID] = set()
        self._newest: EntryId | None = None

    async def publish(self, snapshot: TableSnapshot, *, whole: bool) -> None:
        """Write the keys that changed, or all, and tell the coordinator of each.

        Raises:
            UnreachableProxyError: Redis or the coordinator cannot be reached.
        """
        table = handoff_table(snapshot, self._settings)
        revision = str(snapshot.revision)
        if whole:
            self._held.clear()
        self.notes.sent(snapshot.revision)
        refused = await self._make(table, revision)
        refused |= await self._delete(snapshot, revision)
        refused = await self._hand_off(table, revision) | refused  # why it is not there comes first
        await self._tell_statuses(table.statuses, revision)
        refusals = [
            Refusal(_called(snapshot, endpoint_id), why) for endpoint_id, why in refused.items()
        ]
        self.notes.acknowledged(snapshot.revision, [*table.refusals, *refusals])

    async def _make(self, table: HandoffTable, revision: str) -> dict[UUID, str]:
        """Make the endpoints that are not known to be there; return why some were refused."""
        refused: dict[UUID, str] = {}
        for endpoint_id, creation in table.creations.items():
            if self._api is None or self._made.get(endpoint_id) == creation:
                continue
            try:
                await self._api.create_one(creation, revision)
                self._made[endpoint_id] = creation
            except RefusedCallError as error:
                refused[endpoint_id] = str(error)
        return refused

    async def _delete(self, snapshot: TableSnapshot, revision: str) -> dict[UUID, str]:
        refused: dict[UUID, str] = {}
        for endpoint_id in snapshot.destroyed - self._deleted:
            self._made.pop(endpoint_id, None)
            self._held.pop(endpoint_id, None)
            try:
                if self._api is not None:
                    await self._api.delete_one(endpoint_id, revision)
                self._deleted.add(endpoint_id)
            except RefusedCallError as error:
                refused[endpoint_id] = str(error)
        return refused

    async def _hand_off(self, table: HandoffTable, revision: str) -> dict[UUID, str]:
        """Write the keys that differ, then tell of them; return why some were not taken."""
        changed = [one for one, entry in table.entries.items() if self._held.get(one) != entry]
        for endpoint_id in changed:
            await self._redis.write_keys(table.entries[endpoint_id])
        if changed and self._newest is not None and await self._redis.is_waiting(self._newest):
            # It will read the keys of that event as they are by then; the next try tells it of all.
            raise UnreachableProxyError("the coordinator has not yet read what it was told last")
        refused: dict[UUID, str] = {}
        for first in range(0, len(changed), EVENTS_AT_ONCE):
            refused |= await self._tell(
                changed[first : first + EVENTS_AT_ONCE], table.entries, revision
            )
        return refused

    async def _tell(
        self, endpoint_ids: Sequence[UUID], entries: Mapping[UUID, HandoffEntry], revision: str
    ) -> dict[UUID, str]:
        """Tell of some endpoints, and wait until the coordinator has settled it."""
        told: dict[UUID, EntryId] = {}
        for endpoint_id in endpoint_ids:
            told[endpoint_id] = await self._redis.append(RouteListUpdated(endpoint_id), revision)
            self._newest = told[endpoint_id]
        await self._redis.until_read(max(told.values()), READ_WITHIN_S)
        doubtful = {told[one] for one in self._unsettled & told.keys()}
        left = await self._redis.unsettled({*told.values()} - doubtful, SETTLED_WITHIN_S)
        left |= await self._redis.unsettled(doubtful, DOUBTFUL_WITHIN_S)
        unsettled = {endpoint_id for endpoint_id, entry_id in told.items() if entry_id in left}
        for endpoint_id in endpoint_ids:
            if endpoint_id in unsettled:
                self._made.pop(endpoint_id, None)  # it is made again where it is gone
            else:
                self._held[endpoint_id] = entries[endpoint_id]
        self._unsettled = (self._unsettled - set(endpoint_ids)) | unsettled
        return dict.fromkeys(unsettled, _UNSETTLED)

    async def _tell_statuses(
        self, statuses: Mapping[UUID, ModelServiceStatus], revision: str
    ) -> None:
        """Tell of each session whose health changed, as anycast and as broadcast."""
        for session_id, status in statuses.items():
            if self._statuses.get(session_id) == status:
                continue
            event = StatusUpdated(session_id, status)
            await self._redis.append(event, revision)
            await self._redis.broadcast(event, revision)
            self._statuses[session_id] = status
        self._statuses = {one: told for one, told in self._statuses.items() if one in statuses}


def _called(snapshot: TableSnapshot, endpoint_id: UUID) -> str:
    endpoint = snapshot.endpoints.get(endpoint_id)
    return str(endpoint_id) if endpoint is None else called_in_refusals(endpoint.state)
