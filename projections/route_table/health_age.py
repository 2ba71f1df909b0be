"""Say how old the health of a route is, and when it is stale."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import START
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.routing import is_reachable

STALE_S = 120.0
"""Health at which nobody has looked for so long is stale, at the earliest."""

STALE_INTERVALS = 3
"""Intervals of the health check without a look after which health is stale, at the earliest."""

RouteKey = tuple[UUID, UUID]
"""An endpoint's id, and a route's id."""

_AHEAD_MS_MAX = 10_000
"""A look that lies further in the future is from before the clock was set back: it says nothing."""


class LastProbe(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the last probe of a route ended.

    Attributes:
        duration_ms: How long it took.
        cause: Why it failed, one of `ProbeCause`; None for a success.
        reason: Why it failed, in a few words.
    """

    duration_ms: float
    cause: str | None = None
    reason: str | None = None


class HealthAge(msgspec.Struct, frozen=True):
    """How old the health of a route is.

    Attributes:
        looked_at_ms: When its health was last looked at: its last probe, or the last change that
            was recorded; in ms since 1970 by the server's clock, None if that is not known.
        age_s: Seconds since then, None if that is not known.
        is_stale: Whether nobody has looked for `max(STALE_S, STALE_INTERVALS * interval)`.
        last_probe: How its last probe ended; None where that was not asked for, or is not kept.
    """

    looked_at_ms: int | None
    age_s: float | None
    is_stale: bool
    last_probe: LastProbe | None = None


def is_to_be_probed(endpoint: Endpoint, route: Route) -> bool:
    """Whether a health checker has to look at the route; the health of others has no age."""
    return endpoint.health_check is not None and is_reachable(route)


def stale_after_s(health_check: HealthCheck) -> float:
    """Return after how many seconds without a look health is stale."""
    return max(STALE_S, STALE_INTERVALS * health_check.interval)


def health_age_of(
    endpoint: Endpoint, route: Route, probed_ms: int | None, now_ms: int
) -> HealthAge | None:
    """Return how old the health of *route* is, None where no checker has to look at it.

    Args:
        endpoint: The route's endpoint.
        route: The route.
        probed_ms: When a checker last probed it, None if none has.
        now_ms: The server's clock.
    """
    check = endpoint.health_check
    if check is None or not is_to_be_probed(endpoint, route):
        return None
    stamps = [route.health_at, route.started_at]
    looks = [stamp.ms for stamp in stamps if stamp > START] or [route.listed_at.ms]
    if probed_ms is not None:
        looks.append(probed_ms)
    looked_at_ms = max((at for at in looks if at <= now_ms + _AHEAD_MS_MAX), default=None)
    if looked_at_ms is None:
        return HealthAge(None, None, is_stale=True)
    age_s = max(0.0, (now_ms - looked_at_ms) / 1_000)
    return HealthAge(looked_at_ms, age_s, is_stale=age_s > stale_after_s(check))


def withdrawn(endpoint: Endpoint, ages: Mapping[RouteKey, HealthAge]) -> frozenset[UUID]:
    """Return the routes that get no traffic because their health is stale.

    There are some only where the health check says that stale health counts as unhealthy.
    """
    check = endpoint.health_check
    if check is None or check.on_stale != "unhealthy":
        return frozenset()
    return frozenset(
        route.route_id
        for route in endpoint.present_routes
        if (age := ages.get((endpoint.endpoint_id, route.route_id))) is not None and age.is_stale
    )
