"""Guard a reader's table against one in which most routes are gone although no event says so."""

from collections.abc import Mapping
from uuid import UUID

from projections.route_table.endpoint import Endpoint

WIPED_SHARE = 0.5
"""The share of a partition's routes that may be gone at once without events that say so."""

Table = Mapping[UUID, tuple[int, Endpoint]]
"""Endpoint -> revision and state."""


def wiped(before: Table, after: Table) -> str | None:
    """Return what is gone in *after* if that is most of *before*, as a sentence; None if not.

    An endpoint whose state has had a newer event has lost its routes by it.
    """
    total = gone = 0
    for endpoint_id, (_, state) in before.items():
        routes = _routes(state)
        total += len(routes)
        following = after.get(endpoint_id)
        if following is None:
            gone += len(routes)
        elif following[1].version <= state.version:
            gone += len(routes - _routes(following[1]))
    if gone <= total * WIPED_SHARE:
        return None
    return f"{gone} of {total} routes are gone at once although no event says so"


def _routes(state: Endpoint) -> frozenset[UUID]:
    present = () if state.is_destroyed else state.present_routes
    return frozenset(route.route_id for route in present)
