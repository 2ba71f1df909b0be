"""Choose one route for each request, among those that share an endpoint's traffic."""

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from itertools import accumulate
from math import log
from uuid import UUID

from projections.route_table.route import Route
from projections.route_table.turns import Turns

_HASH_BITS = 52
"""As many as a float holds with a half added, so that no hash is 0 or 1."""


class Balancer:
    """Chooses routes by their weights, in one of three ways; it is not thread-safe.

    *routes* are those that `routable` returns: each has a weight of more than 0. What is kept of an
    endpoint is two numbers for each of its routes, until `forget`, and a count for each route that
    has requests in flight.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._turns: dict[UUID, Turns] = {}
        self._in_flight: Counter[tuple[UUID, UUID]] = Counter()
        self._random = random.Random(seed)  # noqa: S311 - it spreads load, and keeps no secret

    @property
    def endpoints(self) -> Iterable[UUID]:
        """The endpoints whose turns are kept."""
        return tuple(self._turns)

    def choose(self, endpoint_id: UUID, routes: Sequence[Route]) -> Route | None:
        """Return the route whose turn it is, None where there are none.

        After any number of requests each route is within one request of its exact share, and after
        a change of routes or weights those that stay go on from where they were.
        """
        if not routes:
            self._turns.pop(endpoint_id, None)
            return None
        turns = self._turns.get(endpoint_id)
        if turns is None:
            turns = self._turns[endpoint_id] = Turns(routes)
        turns.follow(routes)
        return turns.next()

    @contextmanager
    def least_loaded(self, endpoint_id: UUID, routes: Sequence[Route]) -> Iterator[Route | None]:
        """Give the less loaded of two routes drawn by weight; None where there are none.

        It counts as loaded by one request until the block ends. Load is the number of requests in
        such blocks, divided by the weight.
        """
        if not routes:
            yield None
            return
        chosen = min(self._two_of(routes), key=lambda route: self._load(endpoint_id, route))
        place = endpoint_id, chosen.route_id
        self._in_flight[place] += 1
        try:
            yield chosen
        finally:
            self._in_flight[place] -= 1
            if not self._in_flight[place]:
                del self._in_flight[place]

    def forget(self, endpoint_id: UUID) -> None:
        """Drop the turns of an endpoint that is gone."""
        self._turns.pop(endpoint_id, None)

    def _load(self, endpoint_id: UUID, route: Route) -> float:
        return (self._in_flight[endpoint_id, route.route_id] + 1) / route.traffic_ratio

    def _two_of(self, routes: Sequence[Route]) -> list[Route]:
        """Draw two different routes by weight; one where there is no second."""
        up_to = list(accumulate(route.traffic_ratio for route in routes))
        first = _place_of(self._random.random() * up_to[-1], up_to)
        others = [*routes[:first], *routes[first + 1 :]]
        if not others:
            return [routes[first]]
        up_to = list(accumulate(route.traffic_ratio for route in others))
        second = _place_of(self._random.random() * up_to[-1], up_to)
        return [routes[first], others[second]]


def _place_of(drawn: float, up_to: Sequence[float]) -> int:
    return min(bisect_right(up_to, drawn), len(up_to) - 1)


def by_key(routes: Sequence[Route], key: str | bytes) -> Route | None:
    """Return the route to which *key* belongs, the same in every process; None without routes.

    Weighted rendezvous hashing: keys are shared out by weight, a route that goes gives up its own
    keys and moves no others, and one whose weight rises only takes keys.
    """
    raw = key.encode() if isinstance(key, str) else key
    return max(routes, key=lambda route: _affinity(raw, route), default=None)


def _affinity(key: bytes, route: Route) -> tuple[float, UUID]:
    digest = blake2b(key, digest_size=8, key=route.route_id.bytes).digest()
    drawn = ((int.from_bytes(digest) >> 64 - _HASH_BITS) + 0.5) / (1 << _HASH_BITS)
    return log(drawn) / route.traffic_ratio, route.route_id
