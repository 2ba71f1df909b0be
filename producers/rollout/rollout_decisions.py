"""Decide how an endpoint's traffic moves to another revision; each function is pure.

As in `producers.endpoints.decisions`, a decision without events means that it is so already.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from events.catalogue.event import Event
from events.catalogue.traffic_split import Rollout, TrafficSplitUpdatedEvent
from events.entry import codec
from events.entry.entry_id import START
from events.errors import InvalidEventError
from producers.errors import (
    EndpointDestroyedError,
    NoRolloutError,
    NothingToShareError,
    UnknownEndpointError,
    UnknownRevisionError,
)
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import ENDED
from projections.route_table.routing import routable

Decision = tuple[Event, ...]

_WHOLE = 100.0


def roll_out(
    endpoint: Endpoint,
    to: str,
    percents: Sequence[float],
    *,
    every_s: float = 0.0,
    reason: str | None = None,
) -> Decision:
    """Give revision *to* the first of *percents* of the traffic; the others lie ahead.

    The other revisions divide what is left as they divided the traffic before, and a way back to
    that is kept.

    Args:
        endpoint: The endpoint's state.
        to: The revision; "" stands for the routes without one.
        percents: What it is to have, 0 to 100 each, one at least.
        every_s: Seconds between two steps, in which the health gate watches, also after the last
            one; 0: nobody watches, and *percents* has no second.
        reason: Why, for whoever asks at night.

    Raises:
        UnknownRevisionError: No route of it is there that could take traffic one day.
        NothingToShareError: No other revision could have the rest.
    """
    _must_exist(endpoint)
    for percent in percents:
        if not 0 <= percent <= _WHOLE:
            raise InvalidEventError("percent", f"must be from 0 to 100, got {percent:g}")
    known = _living_revisions(endpoint)
    if to not in known:
        raise UnknownRevisionError(endpoint.endpoint_id, to, known)
    others = _shares_of_others(endpoint, to)
    now, *ahead = percents
    if not others and (least := min(percents)) < _WHOLE:
        raise NothingToShareError(endpoint.endpoint_id, to, _WHOLE - least)
    shares = {revision: share * (_WHOLE - now) / _WHOLE for revision, share in others.items()}
    rollout = Rollout(to=to, back=others, percents=tuple(ahead), every_s=every_s)
    return _split(endpoint, {**shares, to: now}, rollout, reason)


def go_back(endpoint: Endpoint, reason: str | None = None) -> Decision:
    """Give all traffic to the revisions that had it before the rollout, as they divided it.

    Raises:
        NoRolloutError: The split is no step of a rollout, or nothing was there before it.
    """
    _must_exist(endpoint)
    rollout = endpoint.rollout
    if rollout is None or not rollout.back:
        raise NoRolloutError(endpoint.endpoint_id)
    return _split(endpoint, rollout.back, None, reason)


def end_split(endpoint: Endpoint, reason: str | None = None) -> Decision:
    """Let all routes divide the traffic by their weights, whatever their revision."""
    _must_exist(endpoint)
    return _split(endpoint, {}, None, reason)


def _split(
    endpoint: Endpoint, shares: Mapping[str, float], rollout: Rollout | None, reason: str | None
) -> Decision:
    named = {revision: share for revision, share in shares.items() if share > 0}
    if (endpoint.split, endpoint.rollout) == (named, rollout):
        return ()
    event = TrafficSplitUpdatedEvent(
        endpoint_id=endpoint.endpoint_id, shares=named, rollout=rollout, reason=reason
    )
    codec.check(event)
    return (event,)


def _living_revisions(endpoint: Endpoint) -> frozenset[str]:
    routes = endpoint.present_routes
    return frozenset(route.revision for route in routes if route.status not in ENDED)


def _shares_of_others(endpoint: Endpoint, to: str) -> dict[str, float]:
    """Return how the revisions beside *to* divide the traffic, in percent of what they have."""
    if endpoint.rollout is not None and endpoint.rollout.to == to:
        return endpoint.rollout.back
    shares: defaultdict[str, float] = defaultdict(float)
    if endpoint.split:
        shares |= endpoint.split
    else:
        for route in routable(endpoint) or endpoint.present_routes:
            if route.status not in ENDED:
                shares[route.revision] += route.traffic_ratio
    others = {one: share for one, share in shares.items() if one != to and share > 0}
    total = sum(others.values())
    return {revision: _WHOLE * (share / total) for revision, share in sorted(others.items())}


def _must_exist(endpoint: Endpoint) -> None:
    if endpoint.is_destroyed:
        raise EndpointDestroyedError(endpoint.endpoint_id)
    if endpoint.version <= START:
        raise UnknownEndpointError(endpoint.endpoint_id)
