"""Encodes a snapshot as the requests of the coordinator's HTTP API (26.4.4 and newer)."""

import re
from collections.abc import Mapping
from uuid import UUID

import msgspec

from consumers.publishers.backend_ai.route_entries import RouteEntry, encode_routes
from consumers.publishers.backend_ai.settings import BackendAISettings, as_uuid
from consumers.publishers.proxy_ledger import Refusal
from consumers.publishers.routing_rule import called_in_refusals
from consumers.publishers.table_snapshot import PublishedEndpoint, TableSnapshot
from events.catalogue.endpoint import Owner
from projections.route_table.endpoint import Endpoint

ANY_VARIANT = "custom"
"""The runtime variant of which every release knows, and that says least."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


class SessionTags(msgspec.Struct, frozen=True):
    """Whose an endpoint is."""

    user_uuid: str
    project_id: str
    domain_name: str


class EndpointTags(msgspec.Struct, frozen=True):
    """What an endpoint runs."""

    id: str
    runtime_variant: str


class Tags(msgspec.Struct, frozen=True):
    """The tags of an endpoint."""

    session: SessionTags
    endpoint: EndpointTags


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint to be made, or to be kept as it is.

    It has no health check: the table's routes are those that a checker found healthy, and a second
    opinion beside it could only differ.
    """

    deployment_id: UUID
    version: str = "v2"
    service_name: str
    tags: Tags
    open_to_public: bool
    health_check: None = None


class RouteList(msgspec.Struct, frozen=True):
    """All routes that one endpoint has from now on; none is a valid list."""

    deployment_id: UUID
    routes: tuple[RouteEntry, ...]


class Deletion(msgspec.Struct, frozen=True):
    """One endpoint that is gone."""

    deployment_id: UUID


BulkItem = Creation | RouteList | Deletion


class BulkTable(msgspec.Struct, frozen=True):
    """A whole snapshot, as the coordinator is told of it, and what it cannot be told."""

    creations: Mapping[UUID, Creation]
    routes: Mapping[UUID, RouteList]
    deletions: Mapping[UUID, Deletion]
    refusals: tuple[Refusal, ...]


def bulk_table(snapshot: TableSnapshot, settings: BackendAISettings) -> BulkTable:
    """Return what the coordinator is told of *snapshot*."""
    creations: dict[UUID, Creation] = {}
    routes: dict[UUID, RouteList] = {}
    refusals: list[Refusal] = []
    for endpoint_id, endpoint in snapshot.endpoints.items():
        encoded = encode_routes(endpoint)
        creations[endpoint_id] = creation_of(endpoint.state, settings)
        routes[endpoint_id] = RouteList(endpoint_id, encoded.entries)
        refusals += [*encoded.refusals, *_unequal_weights(endpoint)]
    deletions = {gone: Deletion(gone) for gone in sorted(snapshot.destroyed)}
    return BulkTable(creations, routes, deletions, tuple(refusals))


def creation_of(endpoint: Endpoint, settings: BackendAISettings) -> Creation:
    """Return the item that makes *endpoint*.

    An owner that is not known is the settings'. Its name, which AppProxy makes a subdomain of, is
    its id where it has other characters; its runtime variant, which AppProxy only keeps, `custom`.
    """
    owner = endpoint.owner or Owner()
    domain = owner.domain
    session = SessionTags(
        user_uuid=str(as_uuid(owner.user) or settings.user),
        project_id=str(as_uuid(owner.project) or settings.project),
        domain_name=domain if domain and domain.isprintable() else settings.domain,
    )
    name, variant = endpoint.name or "", endpoint.runtime_variant or ""
    return Creation(
        deployment_id=endpoint.endpoint_id,
        service_name=name if _NAME.fullmatch(name) else str(endpoint.endpoint_id),
        tags=Tags(
            session,
            EndpointTags(
                str(endpoint.endpoint_id), variant if _NAME.fullmatch(variant) else ANY_VARIANT
            ),
        ),
        open_to_public=endpoint.open_to_public,
    )


def _unequal_weights(endpoint: PublishedEndpoint) -> list[Refusal]:
    weights = sorted({route.traffic_ratio for route in endpoint.routes})
    if len(weights) < 2:
        return []
    return [
        Refusal(
            called_in_refusals(endpoint.state),
            f"its routes have weights from {weights[0]:g} to {weights[-1]:g}, which the coordinator"
            " has no field for: each route gets an equal share",
        )
    ]
