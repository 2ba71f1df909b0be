"""The health gate of a rollout: whether the new revision does worse than the old ones."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from events.catalogue.traffic_split import Rollout
from events.limits import Limited
from projections.requests.request_counts import KEPT_S, RequestCounts
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.routing import gets_traffic, is_reachable
from projections.route_table.traffic import revision_in_words


class GateSettings(Limited, frozen=True):
    """When the health gate of a rollout sends the traffic back.

    Attributes:
        requests_min: Requests of the new revision that must have been reported before its failures
            count.
        failures_more_max: By how much the part of its requests that failed may be above that of the
            other revisions; 0.02 allows 3 % where the others have 1 %.
        requests_within_s: The time before now whose requests count.
    """

    requests_min: Annotated[int, Meta(ge=1, le=1_000_000)] = 20
    failures_more_max: Annotated[float, Meta(ge=0, le=1)] = 0.02
    requests_within_s: Annotated[float, Meta(ge=1, le=KEPT_S)] = 60.0


Reports = Mapping[UUID, RequestCounts]
"""How requests to routes ended lately, by route."""


def worse(
    endpoint: Endpoint, rollout: Rollout, reports: Reports, settings: GateSettings
) -> str | None:
    """Return in what the new revision does worse than those before it, None where it does not.

    It does where none of its routes can take traffic; where a greater part of its routes has failed
    or is unhealthy; where a greater part of its reported requests has failed.
    """
    called = revision_in_words(rollout.to)
    if not _takes_traffic(endpoint, rollout.to):
        return f"{called}: no route can take traffic"
    new, old = _routes(endpoint, {rollout.to}), _routes(endpoint, rollout.back)
    return _more_unfit(endpoint, called, new, old) or _more_failures(
        called, _sum(new, reports), _sum(old, reports), settings
    )


def _takes_traffic(endpoint: Endpoint, revision: str) -> bool:
    """Whether a route of *revision* could, whatever its share and the endpoint's switch."""
    checked = endpoint.health_check is not None
    return any(
        route.revision == revision and route.traffic_ratio > 0
        for route in endpoint.present_routes
        if gets_traffic(route, checked=checked)
    )


def _routes(endpoint: Endpoint, revisions: Collection[str]) -> list[Route]:
    """Return the routes of *revisions* that are to serve: what is ending says nothing of them."""
    return [
        route
        for route in endpoint.present_routes
        if route.revision in revisions and (route.status == "failed" or is_reachable(route))
    ]


def _more_unfit(
    endpoint: Endpoint, called: str, new: Sequence[Route], old: Sequence[Route]
) -> str | None:
    is_checked = endpoint.health_check is not None

    def unfit(routes: Sequence[Route]) -> int:
        return sum(
            route.status == "failed"
            or (is_checked and (route.health == "unhealthy" or route.flapping))
            for route in routes
        )

    # Of the old ones there may be none left: then any unfit one is too many.
    if unfit(new) * max(1, len(old)) <= unfit(old) * len(new):
        return None
    return (
        f"{called}: {unfit(new)} of {len(new)} routes unhealthy or failed,"
        f" {unfit(old)} of {len(old)} before"
    )


def _sum(routes: Sequence[Route], reports: Reports) -> RequestCounts:
    found = [reports[route.route_id] for route in routes if route.route_id in reports]
    return RequestCounts(sum(one.successes for one in found), sum(one.failures for one in found))


def _more_failures(
    called: str, new: RequestCounts, old: RequestCounts, settings: GateSettings
) -> str | None:
    if new.successes + new.failures < settings.requests_min:
        return None
    if _failed_part(new) <= _failed_part(old) + settings.failures_more_max:
        return None
    return (
        f"{called}: {_failed_part(new):.1%} of {new.successes + new.failures} requests failed,"
        f" {_failed_part(old):.1%} of {old.successes + old.failures} before"
    )


def _failed_part(requests: RequestCounts) -> float:
    total = requests.successes + requests.failures
    return requests.failures / total if total else 0.0
