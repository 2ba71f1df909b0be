"""The route set: which routes an endpoint has, whatever order its events arrive in.

A list of routes says two things: these are there, and all others are not. What was said about a
route before it was last absent no longer counts, also when it arrives later. So every route keeps
the stamp of the newest list without it, and a route that is not followed was last absent in the
newest list of all.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar
from uuid import UUID

from events.catalogue.route import ROUTES_MAX, RouteRecord
from events.entry.entry_id import EntryId
from projections.errors import TooManyRoutesError

FOLLOWED_MAX = 2 * ROUTES_MAX
"""Routes that one document follows: the listed ones, and those heard of before they are listed."""


class Followed(Protocol):
    """What the set has to know of a route."""

    @property
    def route_id(self) -> UUID:
        """Which route it is."""


Route = TypeVar("Route", bound=Followed)


def listed(  # noqa: PLR0913 - the two sides of a list, and what either does
    routes: Mapping[UUID, Route],
    records: Iterable[RouteRecord],
    at: EntryId,
    *,
    newest_at: EntryId,
    present: Callable[[Route, RouteRecord, EntryId], Route],
    absent: Callable[[Route, EntryId], Route | None],
    fresh: Callable[[UUID, EntryId], Route],
) -> dict[UUID, Route]:
    """Return the routes after a list said at *at* that exactly *records* are there.

    Args:
        routes: The routes followed before.
        records: The routes of the list.
        at: The stamp of the list.
        newest_at: The stamp of the newest list before this one.
        present: What a route becomes that the list has.
        absent: What is left of a route that the list lacks, None for nothing.
        fresh: A route of which nothing is known but when it was last absent.
    """
    by_id = {record.route_id: record for record in records}
    after: dict[UUID, Route] = {}
    for route_id, route in routes.items():
        record = by_id.pop(route_id, None)
        left = absent(route, at) if record is None else present(route, record, at)
        if left is not None:
            after[route_id] = left
    if at > newest_at:
        for route_id, record in by_id.items():
            after[route_id] = present(fresh(route_id, newest_at), record, at)
    return in_order(after)


def in_order(routes: Mapping[UUID, Route]) -> dict[UUID, Route]:
    """Return *routes* by their ids: the same routes make the same document.

    Raises:
        TooManyRoutesError: There are more than a document may follow.
    """
    if len(routes) > FOLLOWED_MAX:
        raise TooManyRoutesError(
            f"routes: the endpoint would follow {len(routes)}, the limit is {FOLLOWED_MAX};"
            " set its route list to the routes that still exist"
        )
    return {route_id: routes[route_id] for route_id in sorted(routes, key=_as_int)}


def _as_int(route_id: UUID) -> int:
    return route_id.int
