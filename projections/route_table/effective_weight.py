"""Divide an endpoint's traffic between revisions: the effective weight of each route."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from projections.route_table.route import Route

WHOLE = 100.0
"""The sum of an endpoint's effective weights, where its traffic is split: they are percentages."""


def divided(routes: Sequence[Route], split: Mapping[str, float]) -> tuple[Route, ...]:
    """Return the routes that get traffic, each with its effective weight as its `traffic_ratio`.

    A revision's share is its part of the sum over the revisions that have a route here, and each
    route's part of that is its weight's part of the sum within its revision. A revision that the
    split does not name has no share.

    Args:
        routes: Those that may get traffic, each with a weight above 0.
        split: The shares by revision.
    """
    sums: dict[str, float] = {}
    for route in routes:
        revision = route.revision
        if split.get(revision):
            sums[revision] = sums.get(revision, 0.0) + route.traffic_ratio
    total = sum(split[revision] for revision in sums)
    weighted = []
    for route in routes:
        if route.revision in sums:
            share = WHOLE * (split[route.revision] / total)
            weight = share * (route.traffic_ratio / sums[route.revision])
            if weight > 0:  # the least of floats, divided, are none any more
                weighted.append(replace(route, traffic_ratio=weight))
    return tuple(weighted)
