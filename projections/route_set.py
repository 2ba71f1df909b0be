"""Keep the set of an endpoint's routes, in whatever order its events arrive.

A route list says two things: these routes are present, and all others are absent. An event about a
route from before its last absence does not count, even when it arrives later. So every route keeps
the stamp of the newest event that said it was gone; a route that is not followed was last absent in
the newest list of all.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar
from uuid import UUID

from events.catalogue.route import ROUTES_MAX
from events.entry.entry_id import EntryId
from projections.errors import TooManyRoutesError

FOLLOWED_MAX = 2 * ROUTES_MAX
"""Maximum routes of one document: those listed, and those with events before they are listed."""


class Followed(Protocol):
    """What the set needs to know of a route."""

    @property
    def route_id(self) -> UUID:
        """The route's id."""


Route = TypeVar("Route", bound=Followed)
Said = TypeVar("Said")


def listed(  # noqa: PLR0913 - the two sides of a list, and what either does
    routes: Mapping[UUID, Route],
    there: Mapping[UUID, Said],
    at: EntryId,
    *,
    newest_at: EntryId,
    present: Callable[[Route, Said, EntryId], Route],
    absent: Callable[[Route, EntryId], Route | None],
    fresh: Callable[[UUID, EntryId], Route],
) -> dict[UUID, Route]:
    """Return the routes after an event, recorded at *at*, that says which there are.

    Args:
        routes: The routes followed before.
        there: The routes that there are, and what the event says of each.
        at: The stamp of the list.
        newest_at: The stamp of the newest list before this one.
        present: Returns the new state of a route that the list has.
        absent: Returns what remains of a route that the list lacks, None for nothing.
        fresh: Returns a route of which only the last absence is known.
    """
    by_id = dict(there)
    after: dict[UUID, Route] = {}
    for route_id, route in routes.items():
        is_there = route_id in by_id
        remaining = present(route, by_id.pop(route_id), at) if is_there else absent(route, at)
        if remaining is not None:
            after[route_id] = remaining
    if at > newest_at:
        for route_id, said in by_id.items():
            after[route_id] = present(fresh(route_id, newest_at), said, at)
    return in_order(after)


def in_order(routes: Mapping[UUID, Route]) -> dict[UUID, Route]:
    """Return *routes* sorted by id, so that the same routes make the same document.

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
