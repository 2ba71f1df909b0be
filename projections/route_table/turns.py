"""Give the routes of an endpoint their turns by weight, evenly spread.

Each route has a virtual time at which its next turn begins, and one at which it should have had it:
1/weight later. Of the routes whose turn has begun the one that is due first is next; that keeps
each route within one request of its exact share after any number of requests (earliest eligible
virtual deadline first). All times are whole numbers, so nothing drifts.
"""

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from uuid import UUID

from projections.route_table.route import Route

_PRECISION_BITS = 64
"""The binary digits of the shortest virtual time between two requests."""

_OWED_UNIT = 1 << 52


class Turns:
    """Whose turn is next, of routes that each have a weight of more than 0.

    A turn costs O(log n) for n routes. The memory is that of two numbers for each route.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        self._begin(dict.fromkeys((route.route_id for route in routes), 0.0))

    def next(self) -> Route:
        """Return the route whose turn it is."""
        waiting, ready = self._waiting, self._ready
        while waiting and waiting[0][0] <= self._now:
            begins, place = heappop(waiting)
            heappush(ready, (begins + self._spans[place], place))
        due, place = heappop(ready)
        heappush(waiting, (due, place))
        self._now += self._step
        return self._routes[place]

    def follow(self, routes: Sequence[Route]) -> None:
        """Go on with *routes*: those that stay keep what they are owed, in requests."""
        if routes is self._routes:
            return
        if [_of(route) for route in routes] == [_of(route) for route in self._routes]:
            self._routes = routes
            return
        known = self._owed()
        self._routes = routes
        self._begin({route.route_id: known.get(route.route_id, 0.0) for route in routes})

    def _begin(self, owed: Mapping[UUID, float]) -> None:
        weights = _whole([route.traffic_ratio for route in self._routes])
        unit = 1 << sum(weights).bit_length() + _PRECISION_BITS
        # Rounded down here and up there, so that at least one turn has always begun.
        self._spans = [unit // weight for weight in weights]
        self._step = -(-unit // sum(weights))
        begins = [
            -(round(owed[route.route_id] * _OWED_UNIT) * span // _OWED_UNIT)
            for route, span in zip(self._routes, self._spans, strict=True)
        ]
        # The mean by weight: what routes that left were owed, or owe, is shared among the others.
        product = sum(begin * weight for begin, weight in zip(begins, weights, strict=True))
        self._now = -(-product // sum(weights))
        self._waiting = [(begin, place) for place, begin in enumerate(begins)]
        self._ready: list[tuple[int, int]] = []
        heapify(self._waiting)

    def _owed(self) -> dict[UUID, float]:
        """Return how many requests each route is behind its share; less than 0: ahead of it."""
        begins = {place: begin for begin, place in self._waiting}
        begins |= {place: due - self._spans[place] for due, place in self._ready}
        return {
            route.route_id: (self._now - begins[place]) / self._spans[place]
            for place, route in enumerate(self._routes)
        }


def _of(route: Route) -> tuple[UUID, float]:
    return route.route_id, route.traffic_ratio


def _whole(weights: Sequence[float]) -> list[int]:
    """Return whole numbers in exactly the ratio of *weights*."""
    ratios = [weight.as_integer_ratio() for weight in weights]
    denominator = max(below for _, below in ratios)  # all are powers of 2
    return [above * (denominator // below) for above, below in ratios]
