"""Keeps a coordinator equal to the route table by its HTTP API."""

from collections.abc import Collection, Mapping
from uuid import UUID

import msgspec

from consumers.publishers.backend_ai.bulk_request import (
    BulkItem,
    BulkTable,
    Creation,
    RouteList,
    bulk_table,
)
from consumers.publishers.backend_ai.coordinator_api import CoordinatorApi
from consumers.publishers.backend_ai.settings import BackendAISettings
from consumers.publishers.proxy_ledger import ProxyNotes, Refusal
from consumers.publishers.routing_rule import called_in_refusals
from consumers.publishers.table_snapshot import TableSnapshot

ENDPOINTS = "/bulk"
ROUTES = "/bulk/routes"


class _CoordinatorState(msgspec.Struct):
    """What the coordinator has answered that it has."""

    creations: dict[UUID, Creation] = {}
    routes: dict[UUID, RouteList] = {}
    deleted: set[UUID] = set()


class BulkCoordinator:
    """One coordinator from 26.4.4 on.

    Where everything is said, the routes come first: they are what traffic depends on, and an
    endpoint that cannot be made delays none that is there.
    """

    def __init__(self, api: CoordinatorApi, notes: ProxyNotes, settings: BackendAISettings) -> None:
        self.notes = notes
        self._api = api
        self._settings = settings
        self._held = _CoordinatorState()

    async def publish(self, snapshot: TableSnapshot, *, whole: bool) -> None:
        """Tell the coordinator what has changed, or all of it.

        Raises:
            UnreachableProxyError: It cannot be reached, or does nothing of what it is asked for.
        """
        table = bulk_table(snapshot, self._settings)
        revision = str(snapshot.revision)
        if whole:
            self._held = _CoordinatorState()
        self.notes.sent(snapshot.revision)
        known = table.routes if whole else self._held.creations
        unknown = await self._set_routes(table, known, revision)
        kept = await self._delete(table, revision)
        refused = await self._create(table, revision)
        made = unknown.keys() | (table.routes.keys() - known.keys())
        refused |= await self._set_routes(table, made - refused.keys(), revision)
        refusals = [
            Refusal(called_in_refusals(snapshot.endpoints[endpoint_id].state), why)
            for endpoint_id, why in refused.items()
        ] + [Refusal(str(endpoint_id), why) for endpoint_id, why in kept.items()]
        self.notes.acknowledged(snapshot.revision, [*table.refusals, *refusals])

    async def _set_routes(
        self, table: BulkTable, among: Collection[UUID], revision: str
    ) -> dict[UUID, str]:
        """Replace the routes of the endpoints *among* whose list it has not; return the refused."""
        held = self._held.routes
        changed = {
            endpoint_id: routes
            for endpoint_id, routes in table.routes.items()
            if endpoint_id in among and held.get(endpoint_id) != routes
        }
        refused = await self._send("POST", ROUTES, changed, revision)
        held |= {one: routes for one, routes in changed.items() if one not in refused}
        for endpoint_id in refused:
            held.pop(endpoint_id, None)
            self._held.creations.pop(endpoint_id, None)
        return refused

    async def _create(self, table: BulkTable, revision: str) -> dict[UUID, str]:
        """Make the endpoints that it is not known to have; return why some were refused."""
        held = self._held.creations
        missing = {
            endpoint_id: creation
            for endpoint_id, creation in table.creations.items()
            if held.get(endpoint_id) != creation
        }
        refused = await self._send("POST", ENDPOINTS, missing, revision)
        held |= {one: creation for one, creation in missing.items() if one not in refused}
        return refused

    async def _delete(self, table: BulkTable, revision: str) -> dict[UUID, str]:
        """Delete the endpoints that were destroyed; return why some were not.

        To the coordinator an endpoint that it has not is deleted, too.
        """
        gone = {one: item for one, item in table.deletions.items() if one not in self._held.deleted}
        refused = await self._send("DELETE", ENDPOINTS, gone, revision)
        self._held.deleted = {one for one in table.deletions if one not in refused}
        for endpoint_id in gone:
            self._held.creations.pop(endpoint_id, None)
            self._held.routes.pop(endpoint_id, None)
        return refused

    async def _send(
        self, method: str, path: str, items: Mapping[UUID, BulkItem], revision: str
    ) -> dict[UUID, str]:
        if not items:
            return {}
        return await self._api.bulk(method, path, list(items.values()), revision)
