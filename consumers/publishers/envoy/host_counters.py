"""Reads Envoy's own counters: how requests to each route ended, for the health checkers."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import NamedTuple
from uuid import UUID

import msgspec
from aiohttp import ClientSession

from consumers.errors import UnreachableProxyError
from consumers.publishers.proxy_counters import follow_counters, read_counters
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.publishers.table_snapshot import TableSnapshot
from events.masks import without_login
from projections.route_table.health_age import RouteKey

TIMEOUT_S = 5.0
BYTES_MAX = 64 * 1024 * 1024
"""Bytes of counters that are read of one Envoy: some 1,000 for each route."""

_SUCCESSES = frozenset({"rq_success"})
_FAILURES = frozenset({"rq_error", "cx_connect_fail"})


class EnvoyHost(NamedTuple):
    """An address in a cluster."""

    cluster: str
    address: str
    port: int


class HostCounts(NamedTuple):
    """How requests to a host ended since Envoy knows it; a failed connection is a failure."""

    successes: int = 0
    failures: int = 0


class _Counter(msgspec.Struct):
    name: str = ""
    value: str | int = 0


class _SocketAddress(msgspec.Struct):
    address: str = ""
    port_value: int = 0


class _Address(msgspec.Struct):
    socket_address: _SocketAddress = msgspec.field(default_factory=_SocketAddress)


class _HostStatus(msgspec.Struct):
    address: _Address = msgspec.field(default_factory=_Address)
    stats: list[_Counter] = []


class _ClusterStatus(msgspec.Struct):
    name: str = ""
    host_statuses: list[_HostStatus] = []


class _Clusters(msgspec.Struct):
    cluster_statuses: list[_ClusterStatus] = []


_DECODER = msgspec.json.Decoder(_Clusters)


class HostCounters:
    """Follows the counters of one Envoy, and reports what is new in them."""

    def __init__(self, admin: str, feed: SnapshotFeed) -> None:
        self._admin = admin
        self._feed = feed
        self._known: dict[EnvoyHost, HostCounts] | None = None

    async def run(self, session: ClientSession) -> None:
        """Report until cancelled; an Envoy that does not answer is told once."""
        await follow_counters(lambda: read_host_counts(session, self._admin), self._report)

    def _report(self, counts: dict[EnvoyHost, HostCounts]) -> None:
        """Report what *counts* have more than before; what they had at first is old."""
        known, self._known = self._known, counts
        newest = self._feed.newest
        if known is None or newest is None:
            return
        routes = routes_by_host(newest)
        for host, more in grown(known, counts):
            if (route := routes.get(host)) is not None:
                self._feed.report(route, *more)


async def read_host_counts(session: ClientSession, admin: str) -> dict[EnvoyHost, HostCounts]:
    """Return the counters of all hosts of the Envoy whose admin interface is at *admin*.

    Raises:
        UnreachableProxyError: It does not answer, or not as Envoy's does.
    """
    shown = without_login(admin)
    body = await read_counters(
        session,
        f"{admin}/clusters?format=json",
        f"Envoy's admin at {shown}",
        timeout_s=TIMEOUT_S,
        bytes_max=BYTES_MAX,
    )
    try:
        return host_counts_of(body)
    except (ValueError, RecursionError) as error:
        raise UnreachableProxyError(
            f"{shown} does not answer as Envoy's admin interface: {error}"
        ) from None


def host_counts_of(body: bytes) -> dict[EnvoyHost, HostCounts]:
    """Return the counters in an answer of `/clusters?format=json`.

    Raises:
        ValueError: It is none.
    """
    counts = {}
    for cluster in _DECODER.decode(body).cluster_statuses:
        for status in cluster.host_statuses:
            place = status.address.socket_address
            host = EnvoyHost(cluster.name, place.address, place.port_value)
            counts[host] = HostCounts(
                sum(int(one.value) for one in status.stats if one.name in _SUCCESSES),
                sum(int(one.value) for one in status.stats if one.name in _FAILURES),
            )
    return counts


def grown(
    before: Mapping[EnvoyHost, HostCounts], now: Mapping[EnvoyHost, HostCounts]
) -> Iterator[tuple[EnvoyHost, HostCounts]]:
    """Yield what hosts have *now* and had not *before*; counters that fell began anew."""
    for host, counts in now.items():
        known = before.get(host, HostCounts())
        if counts.successes < known.successes or counts.failures < known.failures:
            known = HostCounts()
        more = HostCounts(counts.successes - known.successes, counts.failures - known.failures)
        if any(more):
            yield host, more


def routes_by_host(snapshot: TableSnapshot) -> dict[EnvoyHost, RouteKey]:
    """Return the route at each address that Envoy was given; the first where several share it."""
    found: dict[EnvoyHost, RouteKey] = {}
    for endpoint_id, endpoint in snapshot.endpoints.items():
        for route in endpoint.routes:
            if (host := _host_of(endpoint_id, route.kernel_host, route.kernel_port)) is not None:
                found.setdefault(host, (endpoint_id, route.route_id))
    return found


def _host_of(endpoint_id: UUID, host: str | None, port: int | None) -> EnvoyHost | None:
    """Return the address as Envoy writes it; None where Envoy was not given it."""
    if port is None:
        return None
    try:
        return EnvoyHost(str(endpoint_id), str(ip_address(host or "")), port)
    except ValueError:
        return None
