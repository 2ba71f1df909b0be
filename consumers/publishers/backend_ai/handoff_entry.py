"""Encodes a snapshot as the keys that coordinators of 25.13 to 26.4.3 read, in database 2."""

from collections.abc import Mapping
from typing import Literal
from uuid import UUID

import msgspec

from consumers.publishers.backend_ai.bulk_request import Creation, creation_of
from consumers.publishers.backend_ai.route_entries import EncodedRoutes, RouteEntry, encode_routes
from consumers.publishers.backend_ai.settings import BackendAISettings, address_of
from consumers.publishers.integer_weights import integer_weights
from consumers.publishers.proxy_ledger import Refusal
from consumers.publishers.routing_rule import called_in_refusals
from consumers.publishers.table_snapshot import PublishedEndpoint, TableSnapshot
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus
from producers.backend_ai.handoff_key import HandoffKey
from projections.route_table.endpoint import Endpoint

ANY_APP = "api"
"""The app of routes that name none; the reader takes the first app, whatever its name."""

_STATUSES: Mapping[str, ModelServiceStatus] = {"healthy": "healthy", "unhealthy": "unhealthy"}
_STATUS_CODE_MIN = 101
"""Releases from 25.18 on refuse 100, and with it all that is said of the endpoint."""

_NEEDED = ("method", "host_header", "headers", "expected_status", "tls")
"""Fields without which a healthy route could answer as an unhealthy one does."""

_USUAL: tuple[object, ...] = (None, "GET", {})
"""What such a field holds where nothing was said of it."""


class HandoffEntry(msgspec.Struct, frozen=True):
    """What the keys of one endpoint hold, and the key that it must not have."""

    values: Mapping[str, bytes]
    absent: tuple[str, ...]


class HandoffTable(msgspec.Struct, frozen=True):
    """A whole snapshot as keys, and what is said beside them.

    Attributes:
        statuses: The health of each session of which it is known.
        refusals: What the keys cannot say.
    """

    entries: Mapping[UUID, HandoffEntry]
    creations: Mapping[UUID, Creation]
    statuses: Mapping[UUID, ModelServiceStatus]
    refusals: tuple[Refusal, ...]


def handoff_table(snapshot: TableSnapshot, settings: BackendAISettings) -> HandoffTable:
    """Return what a coordinator is told of *snapshot*."""
    entries: dict[UUID, HandoffEntry] = {}
    creations: dict[UUID, Creation] = {}
    statuses: dict[UUID, ModelServiceStatus] = {}
    refusals: list[Refusal] = []
    for endpoint_id, endpoint in snapshot.endpoints.items():
        encoded = encode_routes(endpoint)
        check, refused = _health_check(endpoint.state, settings)
        entries[endpoint_id] = _entry(endpoint, encoded, check, settings)
        creations[endpoint_id] = creation_of(endpoint.state, settings)
        statuses |= _statuses(endpoint.state)
        refusals += [*encoded.refusals, *refused]
    return HandoffTable(entries, creations, statuses, tuple(refusals))


def _entry(
    endpoint: PublishedEndpoint,
    encoded: EncodedRoutes,
    check: HealthCheck | None,
    settings: BackendAISettings,
) -> HandoffEntry:
    endpoint_id = endpoint.state.endpoint_id

    def key(
        kind: Literal["route_connection_info", "health_check_enabled", "health_check_config"],
    ) -> str:
        return str(HandoffKey(endpoint_id, kind))

    named = (route.app for route in encoded.routes if route.app and route.app.isprintable())
    app = next(named, ANY_APP)
    listed = encoded.entries or _placeholder(endpoint_id, settings)
    values = {
        key("route_connection_info"): msgspec.json.encode({app: listed} if listed else {}),
        key("health_check_enabled"): b"false" if check is None else b"true",
    }
    if check is not None:
        values[key("health_check_config")] = _config(check)
    weights = integer_weights([route.traffic_ratio for route in encoded.routes])
    for entry, weight in zip(encoded.entries, weights, strict=True):
        ratio = HandoffKey(endpoint_id, "traffic_ratio", entry.session_id)
        values[str(ratio)] = str(float(weight)).encode()
    return HandoffEntry(values, () if check else (key("health_check_config"),))


def _placeholder(endpoint_id: UUID, settings: BackendAISettings) -> tuple[RouteEntry, ...]:
    """Return the one route of an endpoint that has none: to where nobody answers."""
    if not settings.placeholder:
        return ()
    host, port = address_of(settings.placeholder)
    return (RouteEntry(endpoint_id, endpoint_id, host, port),)


def _config(check: HealthCheck) -> bytes:
    """Return the configuration with every field: the reader takes null for no default."""
    return msgspec.json.encode(
        {
            "interval": float(check.interval),
            "path": check.path,
            "max_retries": check.max_retries,
            "max_wait_time": float(check.max_wait_time),
            "expected_status_code": check.expected_status_code,
            "initial_delay": float(check.grace_s),
        }
    )


def _health_check(
    endpoint: Endpoint, settings: BackendAISettings
) -> tuple[HealthCheck | None, list[Refusal]]:
    check = endpoint.health_check if settings.coordinator_checks else None
    why = None if check is None else _why_not_checked(check)
    if why is None:
        return check, []
    return None, [Refusal(called_in_refusals(endpoint), f"{why}: they do not check it")]


def _why_not_checked(check: HealthCheck) -> str | None:
    """Return why coordinators cannot check as *check* says; None where they can.

    What they do not know, and without which their check is a weaker one, is left out.
    """
    if check.kind != "http":
        return f"its health check is of kind {check.kind}, coordinators know http alone"
    needed = [name for name in _NEEDED if getattr(check, name) not in _USUAL]
    if needed:
        return f"its health check has {', '.join(needed)}, which coordinators do not know"
    if check.expected_status_code < _STATUS_CODE_MIN:
        expected = check.expected_status_code
        return f"its health check expects status {expected}, which coordinators refuse"
    return None


def _statuses(endpoint: Endpoint) -> dict[UUID, ModelServiceStatus]:
    return {
        route.session_id: _STATUSES[route.health]
        for route in endpoint.present_routes
        if route.session_id is not None and route.health in _STATUSES
    }
