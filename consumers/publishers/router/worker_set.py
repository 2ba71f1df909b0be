"""Decides which workers a router should have: those of one endpoint's routes that get traffic."""

import re
from collections.abc import Iterator
from uuid import UUID

import msgspec

from consumers.publishers.proxy_ledger import Refusal
from consumers.publishers.routing_rule import called_in_refusals
from consumers.publishers.table_snapshot import PublishedEndpoint, TableSnapshot
from projections.route_table.route import Route

_HTTP = frozenset({"http", "preopen"})
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_ADDRESS_6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


class NotOneEndpointError(ValueError):
    """The table has no endpoint of that id or name, or several; the message says which."""


class WorkerSet(msgspec.Struct, frozen=True):
    """The workers of one endpoint.

    Attributes:
        endpoint_id: The endpoint's.
        urls: Their URLs.
        refusals: What the router cannot be given.
    """

    endpoint_id: UUID
    urls: frozenset[str]
    refusals: tuple[Refusal, ...]


def worker_set(snapshot: TableSnapshot, endpoint: str) -> WorkerSet:
    """Return the workers of *endpoint*, which is an id or a name.

    Raises:
        NotOneEndpointError: The table has none of that name, or more than one.
    """
    published = _published(snapshot, endpoint)
    called = called_in_refusals(published.state)
    urls, refusals = set(), []
    for route in published.routes:
        try:
            urls.add(_url(route))
        except ValueError as error:
            refusals.append(Refusal(f"{called}, route {route.route_id}", str(error)))
    refusals += _weights(called, published)
    return WorkerSet(published.state.endpoint_id, frozenset(urls), tuple(refusals))


def _published(snapshot: TableSnapshot, endpoint: str) -> PublishedEndpoint:
    found = [
        one
        for one in snapshot.endpoints.values()
        if endpoint in {str(one.state.endpoint_id), one.state.name}
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotOneEndpointError(
            f"{len(found)} endpoints have the name {endpoint}; give the router one by its id"
        )
    raise NotOneEndpointError(f"the route table has no endpoint {endpoint}")


def _url(route: Route) -> str:
    host = route.kernel_host or ""
    if route.protocol not in _HTTP:
        raise ValueError(f"protocol {route.protocol} is none that the router is given: http is")
    if _ADDRESS_6.fullmatch(host):
        return f"http://[{host}]:{route.kernel_port}"
    if not _HOST.fullmatch(host):
        raise ValueError(f"kernel_host {host!r} is no host name")
    return f"http://{host}:{route.kernel_port}"


def _weights(called: str, published: PublishedEndpoint) -> Iterator[Refusal]:
    ratios = sorted({route.traffic_ratio for route in published.routes})
    if len(ratios) > 1:
        yield Refusal(
            called,
            f"its traffic ratios from {ratios[0]:g} to {ratios[-1]:g} cannot be expressed: a "
            "router has no weights, each worker gets an equal share",
        )
