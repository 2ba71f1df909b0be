"""Defines what Traefik is told of a snapshot, whichever way it is fed."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address
from uuid import UUID

import msgspec

from consumers.publishers.default_rule import default_rule
from consumers.publishers.integer_weights import integer_weights
from consumers.publishers.proxy_ledger import Refusal
from consumers.publishers.routing_rule import (
    ANY_HOST,
    RoutingRule,
    RoutingRules,
    called_in_refusals,
    routing_rules,
)
from consumers.publishers.table_snapshot import PublishedEndpoint, TableSnapshot
from consumers.publishers.traefik.traefik_settings import TraefikSettings
from projections.route_table.route import Route

REVISION = "routestream-revision"
"""The middleware whose header is the revision."""

RETRY = "routestream-retry"
"""The middleware that tries a request at another replica while none has taken it."""

TRANSPORT = "routestream"
"""How Traefik connects to replicas."""

REVISION_HEADER = "X-Route-Rev"
"""The header of every response that tells by which revision it was routed."""

SERVERS_MAX = 1_024
"""Servers of one service at most."""

_SCHEMES = {"http": "http", "h2": "h2c", "grpc": "h2c"}
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\Z")
_SUBJECT_MAX, _WHY_MAX = 256, 1_024


class TraefikServer(msgspec.Struct, frozen=True):
    """One replica: its URL, and its whole weight above 0."""

    url: str
    weight: int


class TraefikService(msgspec.Struct, frozen=True):
    """One endpoint: its router and its service have the same *name*.

    Attributes:
        rule: Which requests go to it, as Traefik reads it.
        path: The path that is taken off those requests; empty for none.
        is_public: Whether it is open to the public.
        servers: Its replicas that get traffic; without any it answers 503.
    """

    name: str
    rule: str
    path: str
    is_public: bool
    servers: tuple[TraefikServer, ...]


class ToldEndpoint(msgspec.Struct, frozen=True):
    """One endpoint by its *rule*: its service, and what of it cannot be told."""

    source: PublishedEndpoint
    rule: RoutingRule
    service: TraefikService
    refusals: tuple[Refusal, ...]


class TraefikConfiguration(msgspec.Struct, frozen=True):
    """What Traefik is told of one snapshot.

    Attributes:
        rules: Which requests go where.
        endpoints: The endpoints that have a rule.
    """

    identity: str
    revision: str
    rules: RoutingRules
    endpoints: Mapping[UUID, ToldEndpoint]

    @property
    def services(self) -> Sequence[TraefikService]:
        """The services, one for each endpoint."""
        return [one.service for one in self.endpoints.values()]

    @property
    def refusals(self) -> Sequence[Refusal]:
        """What of the snapshot cannot be told; all else is."""
        of_routes = (refusal for one in self.endpoints.values() for refusal in one.refusals)
        return (*self.rules.refusals, *of_routes)


def traefik_configuration(
    snapshot: TableSnapshot,
    settings: TraefikSettings,
    before: TraefikConfiguration | None = None,
) -> TraefikConfiguration:
    """Return what Traefik is told of *snapshot*.

    *before*, what it was told with the same settings, saves the work for what is as it was.
    """
    known = None if before is None else before.rules
    rules = routing_rules(snapshot, lambda endpoint: default_rule(endpoint, settings), known)
    told = {} if before is None else before.endpoints
    endpoints = {
        endpoint_id: _told(snapshot.endpoints[endpoint_id], rule, told.get(endpoint_id))
        for endpoint_id in snapshot.endpoints
        if (rule := rules.by_endpoint.get(endpoint_id)) is not None
    }
    return TraefikConfiguration(snapshot.identity, str(snapshot.revision), rules, endpoints)


def _told(
    published: PublishedEndpoint, rule: RoutingRule, before: ToldEndpoint | None
) -> ToldEndpoint:
    if before is not None and before.source is published and before.rule == rule:
        return before
    servers, refusals = _servers(published)
    state = published.state
    name = f"endpoint-{state.endpoint_id}"
    service = TraefikService(name, _rule(rule), rule.path, state.open_to_public, servers)
    return ToldEndpoint(published, rule, service, tuple(refusals))


def _rule(rule: RoutingRule) -> str:
    """Return *rule* as Traefik reads it."""
    parts = []
    if rule.hosts != (ANY_HOST,):
        parts.append(" || ".join(f"Host(`{host}`)" for host in rule.hosts))
    if rule.path:  # PathPrefix(`/a`) alone would match /ab, too
        parts.append(f"Path(`{rule.path}`) || PathPrefix(`{rule.path}/`)")
    return " && ".join(f"({part})" for part in parts)


def _servers(
    published: PublishedEndpoint,
) -> tuple[tuple[TraefikServer, ...], list[Refusal]]:
    """Return the servers of an endpoint, equal URLs as one, and which routes have none."""
    called = called_in_refusals(published.state)
    refusals = []
    ratios: dict[str, float] = {}
    for route in published.routes:
        try:
            url = _url(route)
        except ValueError as error:
            refusals.append(_refusal(f"{called}, route {route.route_id}", str(error)))
            continue
        ratios[url] = ratios.get(url, 0.0) + route.traffic_ratio
    if len(ratios) > SERVERS_MAX:
        why = f"it has {len(ratios)} servers, the limit is {SERVERS_MAX}: the others get nothing"
        refusals.append(_refusal(called, why))
    urls = list(ratios)[:SERVERS_MAX]
    weights = integer_weights([ratios[url] for url in urls]) if urls else []
    return tuple(map(TraefikServer, urls, weights)), refusals


def _url(route: Route) -> str:
    """Return the URL of the route's replica; raise ValueError if it has none."""
    scheme = _SCHEMES.get(route.protocol)
    if scheme is None:
        raise ValueError(f"protocol {route.protocol} is not one of {', '.join(_SCHEMES)}")
    host, port = route.kernel_host or "", route.kernel_port
    if port is None or not 1 <= port <= 65_535:
        raise ValueError(f"port {port} is not from 1 to 65535")
    if ":" in host:
        try:
            address = IPv6Address(host)
        except ValueError:
            raise ValueError(f"host {host!r} is no IPv6 address") from None
        if address.scope_id is not None:
            raise ValueError(f"host {host!r} names an interface, which is another on each machine")
        return f"{scheme}://[{address}]:{port}"
    if _HOST.match(host) is None:
        raise ValueError(f"host {host!r} is no address and no name of a host")
    return f"{scheme}://{host}:{port}"


def _refusal(subject: str, why: str) -> Refusal:
    return Refusal(subject[:_SUBJECT_MAX], why[:_WHY_MAX])
