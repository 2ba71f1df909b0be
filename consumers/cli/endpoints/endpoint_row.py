"""Rows of endpoints and their routes, for JSON and CSV and for tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from rich.text import Text

from consumers.cli.endpoints.table import (
    KnowledgeRow,
    checked_ago,
    health_text,
    healths,
    knowledge_row,
    last_probe_text,
    looked_at,
    per_cent,
    shares,
)
from consumers.cli.terminal.event_summary import address, labels_text
from consumers.cli.terminal.output import shown_id
from consumers.cli.terminal.table import Column, Columns
from events.catalogue.health_check import shown_fields
from events.entry.age import age_of
from events.entry.entry_id import START, EntryId
from projections.read_model.knowledge import Knowledge
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import HealthAge, LastProbe, RouteKey, withdrawn
from projections.route_table.phase import EndpointPhase, Phase, endpoint_phase, phase_of
from projections.route_table.route import Health, Route
from projections.route_table.traffic import (
    Traffic,
    address_since,
    labels_since,
    ratio_since,
    traffic_of,
)


class RouteRow(msgspec.Struct, frozen=True, kw_only=True):
    """One route; a field `*_at` is the entry that set the value, null where it was never set.

    Attributes:
        health_checked_at: When its health was last looked at, an RFC 3339 time.
        health_stale: Whether nobody has looked for too long. Both are null for a past state, and
            where no checker has to look at the route.
        last_probe: How its last probe ended; null where nothing is kept of it.
    """

    route_id: UUID
    session_id: UUID | None
    app: str
    kernel_host: str | None
    kernel_port: int | None
    protocol: str
    traffic_ratio: float
    labels: dict[str, str]
    status: str
    phase: Phase
    status_reason: str | None
    drain_s: float | None
    drained_at: EntryId | None
    eviction_at: EntryId | None
    eviction_reason: str | None
    health: Health
    errors: list[str]
    health_reason: str | None
    health_checked_at: str | None
    health_stale: bool | None
    last_probe: LastProbe | None
    consecutive_failures: int
    listed_at: EntryId | None
    address_at: EntryId | None
    labels_at: EntryId | None
    ratio_at: EntryId | None
    traffic_status: str
    traffic_reason: str | None
    traffic_at: EntryId | None
    status_at: EntryId | None
    started_at: EntryId | None
    health_at: EntryId | None
    flapping: bool
    flapping_reason: str | None
    flapping_at: EntryId | None
    routable: bool
    share: float
    why_not: str | None
    decided_at: EntryId | None


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint with its routes; fields `*_at` as in a `RouteRow`."""

    endpoint_id: UUID
    name: str | None
    model: str | None
    runtime_variant: str | None
    open_to_public: bool
    owner: dict[str, str | None] | None
    labels: dict[str, str]
    health_check: dict[str, Any] | None
    version: EntryId
    revision: int
    created_at: EntryId | None
    health_check_at: EntryId | None
    destroyed_at: EntryId | None
    list_at: EntryId | None
    phase: EndpointPhase
    replicas: int | None
    replicas_at: EntryId | None
    retries: int
    traffic_status: str
    traffic_reason: str | None
    traffic_at: EntryId | None
    split: dict[str, float]
    split_reason: str | None
    rollout: dict[str, Any] | None
    split_at: EntryId | None
    routes: list[RouteRow]


class LiveEndpointRow(EndpointRow, frozen=True, kw_only=True):
    """One live endpoint, and how current it is; a past state has no *knowledge*."""

    knowledge: KnowledgeRow | msgspec.UnsetType = msgspec.UNSET


def endpoint_columns(now: datetime, *, narrow: bool) -> Columns[EndpointRow]:
    """Return the columns of a list of endpoints; *narrow* ones show the beginnings of ids."""
    return (
        Column("ENDPOINT", lambda row: shown_id(row.endpoint_id, wide=not narrow)),
        Column("NAME", lambda row: row.name, folds=True),
        Column("MODEL", lambda row: row.model, folds=True),
        Column("PHASE", lambda row: row.phase),
        Column("ROUTES", _routes),
        Column("HEALTH", _healths, folds=True),
        Column("TRAFFIC", _shares, folds=True),
        Column("CHANGED", lambda row: age_of(row.version, now)),
    )


def _routes(row: EndpointRow) -> str | None:
    if row.destroyed_at is not None:
        return None
    return f"{sum(route.routable for route in row.routes)}/{len(row.routes)}"


def _healths(row: EndpointRow) -> str | None:
    if row.destroyed_at is not None:
        return None
    stale = sum(bool(route.health_stale) for route in row.routes)
    flapping, each = sum(one.flapping for one in row.routes), (one.health for one in row.routes)
    return healths(row.health_check, each, flapping=flapping, stale=stale)


def _shares(row: EndpointRow) -> str | None:
    if row.destroyed_at is not None:
        return None
    return shares([route.share for route in row.routes if route.routable])


def route_columns(
    now: datetime, names: Mapping[EntryId, str], routes: Sequence[RouteRow], *, narrow: bool
) -> Columns[RouteRow]:
    """Return the columns of an endpoint's *routes*; *names*: types of events by entry id.

    Labels have one where there are any, last probes where any of them failed.
    """
    probe = Column[RouteRow]("PROBE", lambda row: last_probe_text(row.last_probe), is_below=True)
    probe_failed = any(row.last_probe and row.last_probe.cause for row in routes)
    labels = Column[RouteRow]("LABELS", lambda row: labels_text(row.labels), is_below=True)
    return (
        Column("ROUTE", lambda row: shown_id(row.route_id, wide=not narrow)),
        Column(
            "ADDRESS", lambda row: address(row.kernel_host, row.kernel_port) or "none", folds=True
        ),
        Column("PHASE", lambda row: row.phase.replace("_", " ")),
        Column("SINCE", lambda row: _age(row.status_at, now)),
        Column("HEALTH", _health),
        Column("SINCE", lambda row: _age(_health_since(row), now)),
        Column("CHECKED", lambda row: checked_ago(row.health_checked_at, row.health_stale, now)),
        Column("WEIGHT", _weight, is_number=True),
        Column("TRAFFIC", _traffic, is_below=True),
        Column("BY", lambda row: _decider(row, names), is_below=True),
        *([probe] if probe_failed else []),
        *([labels] if any(row.labels for row in routes) else []),
    )


def _health(row: RouteRow) -> Text:
    return health_text(row.health, is_stale=bool(row.health_stale), flapping=row.flapping)


def _health_since(row: RouteRow) -> EntryId | None:
    return row.started_at if row.health == "not_checked" else row.health_at


def _age(at: EntryId | None, now: datetime) -> str | None:
    return None if at is None else age_of(at, now)


def _weight(row: RouteRow) -> str:
    return per_cent(row.share) if row.routable else f"({row.traffic_ratio:g})"


def _traffic(row: RouteRow) -> Text:
    return Text("yes", "green") if row.routable else Text(f"no: {row.why_not}", "red")


def _decider(row: RouteRow, names: Mapping[EntryId, str]) -> str | None:
    at = row.decided_at
    return None if at is None else f"{at} {names.get(at, '')}".rstrip()


def endpoint_row(revision: int, endpoint: Endpoint) -> EndpointRow:
    """Return the row of an endpoint's past state."""
    return EndpointRow(**_facts(revision, endpoint, {}))


def live_endpoint_row(
    revision: int,
    endpoint: Endpoint,
    known: Knowledge | None,
    now: datetime,
    ages: Mapping[RouteKey, HealthAge],
) -> LiveEndpointRow:
    """Return the row of an endpoint.

    Args:
        revision: Its document's revision.
        endpoint: Its state.
        known: How current its partition is.
        now: The server's clock.
        ages: How old the health of its routes is.
    """
    knowledge = msgspec.UNSET if known is None else knowledge_row(known, now)
    return LiveEndpointRow(**_facts(revision, endpoint, ages), knowledge=knowledge)


def _facts(revision: int, endpoint: Endpoint, ages: Mapping[RouteKey, HealthAge]) -> dict[str, Any]:
    traffic, own = traffic_of(endpoint, withdrawn(endpoint, ages)), endpoint.endpoint_id
    return _as_kept(endpoint, EndpointRow) | {
        "owner": msgspec.to_builtins(endpoint.owner),
        "health_check": endpoint.health_check and shown_fields(endpoint.health_check),
        "revision": revision,
        "phase": endpoint_phase(endpoint),
        "retries": len(endpoint.failures),
        "rollout": msgspec.to_builtins(endpoint.rollout),
        "routes": [
            _route_row(endpoint, route, traffic[route.route_id], ages.get((own, route.route_id)))
            for route in endpoint.present_routes
        ],
    }


def _route_row(endpoint: Endpoint, route: Route, gets: Traffic, age: HealthAge | None) -> RouteRow:
    shown = _as_kept(route, RouteRow) | {
        "phase": phase_of(endpoint, route),
        "errors": list(route.errors),
        "health_checked_at": None if age is None else looked_at(age),
        "health_stale": None if age is None else age.is_stale,
        "last_probe": None if age is None else age.last_probe,
        "address_at": _stamp(address_since(route)),
        "labels_at": _stamp(labels_since(route)),
        "ratio_at": _stamp(ratio_since(route)),
        "status_at": _stamp(route.status_since),
        "routable": gets.why_not is None,
        "share": gets.share,
        "why_not": gets.why_not,
        "decided_at": _stamp(gets.decided_at),
    }
    return RouteRow(**shown)


def _as_kept(state: Endpoint | Route, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the fields of a row that are as *state* keeps them; null for a stamp never set."""
    return {
        name: None if (value := getattr(state, name)) == START else value
        for name in _names_kept(type(state), kind)
    }


@cache
def _names_kept(state: type[Endpoint | Route], kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if hasattr(state, name))


def _stamp(at: EntryId) -> EntryId | None:
    return at if at > START else None
