"""Decide what a checker probes: the reachable routes of endpoints that have a health check."""

from collections.abc import Callable, Iterable
from uuid import UUID

import msgspec

from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import EntryId
from producers.checker.probes.address import Address
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import RouteKey
from projections.route_table.route import Route
from projections.route_table.routing import is_reachable


class Target(msgspec.Struct, frozen=True):
    """What is probed, and how; when a field changes, the failures so far no longer count.

    *model* is the endpoint's, where deep checks ask for it.
    """

    endpoint_id: UUID
    route_id: UUID
    address: Address
    started_at: EntryId
    health_check: HealthCheck
    model: str | None = None

    @property
    def key(self) -> RouteKey:
        """The ids of endpoint and route."""
        return self.endpoint_id, self.route_id


def targets_of(
    endpoints: Iterable[Endpoint], owns: Callable[[UUID], bool]
) -> dict[RouteKey, tuple[Target, Route]]:
    """Return what is to be probed of those of the endpoints that *owns* is true of."""
    targets = {}
    for endpoint in endpoints:
        check = endpoint.health_check
        if check is None or not owns(endpoint.endpoint_id):
            continue
        for route in endpoint.present_routes:
            address = _address(route)
            if address is not None:
                target = Target(
                    endpoint.endpoint_id,
                    route.route_id,
                    address,
                    route.started_at,
                    check,
                    None if check.deep is None else endpoint.model,
                )
                targets[target.key] = (target, route)
    return targets


def _address(route: Route) -> Address | None:
    """Return where to probe *route*, None where it is not reachable."""
    if not is_reachable(route) or route.kernel_host is None or route.kernel_port is None:
        return None
    return Address(route.kernel_host, route.kernel_port, route.protocol)
