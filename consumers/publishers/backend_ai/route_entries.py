"""Encodes the routes of an endpoint as AppProxy names them, in every release."""

import re
from collections.abc import Iterator
from uuid import UUID

import msgspec

from consumers.publishers.proxy_ledger import Refusal
from consumers.publishers.routing_rule import called_in_refusals
from consumers.publishers.table_snapshot import PublishedEndpoint
from projections.route_table.route import Route

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?")


class RouteEntry(msgspec.Struct, frozen=True):
    """One route of a list; the order of its fields is that of Backend.AI's managers."""

    session_id: UUID
    route_id: UUID
    kernel_host: str
    kernel_port: int


class EncodedRoutes(msgspec.Struct, frozen=True):
    """The routes that can be said, the table's own beside them, and what cannot be said."""

    entries: tuple[RouteEntry, ...]
    routes: tuple[Route, ...]
    refusals: tuple[Refusal, ...]


def encode_routes(endpoint: PublishedEndpoint) -> EncodedRoutes:
    """Return the entries of *endpoint*; a route that has none is refused alone."""
    entries: list[RouteEntry] = []
    routes: list[Route] = []
    refusals: list[Refusal] = []
    sessions: set[UUID] = set()
    for route in endpoint.routes:
        problems = list(_problems(route, sessions))
        if problems or route.session_id is None:
            subject = f"{called_in_refusals(endpoint.state)} route {route.route_id}"
            refusals.append(Refusal(subject, "; ".join(problems)))
            continue
        sessions.add(route.session_id)
        routes.append(route)
        host, port = route.kernel_host or "", route.kernel_port or 0
        entries.append(RouteEntry(route.session_id, route.route_id, host, port))
    return EncodedRoutes(tuple(entries), tuple(routes), tuple(refusals))


def _problems(route: Route, sessions: set[UUID]) -> Iterator[str]:
    """Yield why AppProxy cannot be told of *route*; *sessions* are those told of before."""
    if route.session_id is None:
        yield "it has no session, by which AppProxy knows a route"
    elif route.session_id in sessions:
        yield f"session {route.session_id} has another route, and AppProxy knows one for each"
    if route.protocol != "http":
        yield f"its protocol is {route.protocol}; AppProxy speaks http to every model service"
    if not route.kernel_host or not route.kernel_port:
        yield "it has no address"
    elif not _HOST.fullmatch(route.kernel_host):
        yield f"its host {route.kernel_host!r} is neither a host name nor an IPv4 address"
