"""Decides by which requests a proxy knows an endpoint: the same for every dialect.

The labels `host` and `path` of an endpoint say it. `host` has one host name or several, with commas
between them; `path` is a beginning of the request's path, in whole segments, which the proxy takes
off: a model server knows nothing of it. Without either, the endpoint is reached under its name,
where that is a host name, and under its id.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from uuid import UUID

import msgspec

from consumers.publishers.proxy_ledger import Refusal
from consumers.publishers.table_snapshot import TableSnapshot
from projections.route_table.endpoint import Endpoint

HOST_LABEL = "host"
PATH_LABEL = "path"

ANY_HOST = "*"
"""The host of a rule that asks for a path alone."""

HOSTS_MAX = 16
"""Host names that one endpoint may have."""

_HOST = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
_PATH = re.compile(r"(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._~-]+)+")


class RoutingRule(msgspec.Struct, frozen=True):
    """Which requests go to an endpoint: those for one of *hosts* whose path begins with *path*.

    Attributes:
        hosts: Lower-case host names without a port; `ANY_HOST` alone for any.
        path: A path without a slash at its end, in whole segments: `/chat` is no beginning of
            `/chatter`. The proxy takes it off. Empty for every path.
    """

    hosts: tuple[str, ...]
    path: str = ""


class RoutingRules(msgspec.Struct, frozen=True):
    """The rules of a table's endpoints, no two for the same host and path, and what has none.

    Attributes:
        decided_by: What of each endpoint decides about its rule.
    """

    by_endpoint: Mapping[UUID, RoutingRule]
    refusals: tuple[Refusal, ...]
    decided_by: Mapping[UUID, object]


def own_names(endpoint: Endpoint) -> RoutingRule:
    """Return the rule of an endpoint without labels: its name and its id as host names."""
    return RoutingRule(tuple(_own_hosts(endpoint)))


Default = Callable[[Endpoint], RoutingRule]
"""Decides the rule of an endpoint without labels; raises ValueError where it can have none."""


def routing_rules(
    snapshot: TableSnapshot, default: Default = own_names, before: RoutingRules | None = None
) -> RoutingRules:
    """Return the rule of each endpoint; of two that want the same requests, the older has them.

    *before* are the rules of an earlier table by the same *default*; they are returned if nothing
    has changed that decides about them: most changes are of routes.
    """
    decided_by = {
        endpoint_id: (one.state.name, one.state.labels, one.state.created_at)
        for endpoint_id, one in snapshot.endpoints.items()
    }
    if before is not None and before.decided_by == decided_by:
        return before
    rules: dict[UUID, RoutingRule] = {}
    refusals: list[Refusal] = []
    owners: dict[tuple[str, str], str] = {}
    endpoints = [published.state for published in snapshot.endpoints.values()]
    for endpoint in sorted(endpoints, key=lambda one: (one.created_at, one.endpoint_id)):
        called = called_in_refusals(endpoint)
        try:
            wanted = routing_rule(endpoint, default)
        except ValueError as error:
            refusals.append(Refusal(called, str(error)))
            continue
        free = tuple(host for host in wanted.hosts if (host, wanted.path) not in owners)
        refusals += _taken(called, wanted, free, owners)
        owners |= {(host, wanted.path): called for host in free}
        if free:
            rules[endpoint.endpoint_id] = RoutingRule(free, wanted.path)
    return RoutingRules(rules, tuple(refusals), decided_by)


def called_in_refusals(endpoint: Endpoint) -> str:
    """Return how refusals name *endpoint*: by its name where it has one, else by its id."""
    return (endpoint.name or str(endpoint.endpoint_id))[:200]


def routing_rule(endpoint: Endpoint, default: Default = own_names) -> RoutingRule:
    """Return the rule that *endpoint* asks for by its labels, else the *default*.

    Raises:
        ValueError: A label is no host name or no path; the message is a sentence about it.
    """
    labels = endpoint.labels
    path = checked_path(labels.get(PATH_LABEL, ""), f"label {PATH_LABEL}")
    if HOST_LABEL in labels:
        return RoutingRule(_hosts(labels[HOST_LABEL]), path)
    return RoutingRule((ANY_HOST,), path) if path else default(endpoint)


def checked_path(text: str, called: str) -> str:
    """Return *text* without a slash at its end; raise ValueError if it is no path."""
    path = text.rstrip("/")
    if path and not (len(path) <= 255 and _PATH.fullmatch(path)):
        raise ValueError(
            f"{called} is {path!r}: it must be segments of letters, digits, '.', '_', "
            "'~' and '-', each after a '/'"
        )
    return path


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(dict.fromkeys(part.strip(" ").lower() for part in text.split(",")))
    if len(hosts) > HOSTS_MAX:
        raise ValueError(f"label {HOST_LABEL} has {len(hosts)} names, the limit is {HOSTS_MAX}")
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ValueError(f"label {HOST_LABEL} has {host!r}, which is no host name")
    return hosts


def _own_hosts(endpoint: Endpoint) -> Iterator[str]:
    name = (endpoint.name or "").lower()
    if _HOST.fullmatch(name) and name != str(endpoint.endpoint_id):
        yield name
    yield str(endpoint.endpoint_id)


def _taken(
    called: str,
    wanted: RoutingRule,
    free: Sequence[str],
    owners: Mapping[tuple[str, str], str],
) -> list[Refusal]:
    return [
        Refusal(
            called,
            f"{host}{wanted.path or '/'} is not routed to it: it belongs to "
            f"{owners[host, wanted.path]}, which is older",
        )
        for host in wanted.hosts
        if host not in free
    ]
