"""Define the route table as it is published: at one revision, with the routes that get traffic."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Self
from uuid import UUID

import msgspec

from events.entry.entry_id import START, EntryId
from events.log.keys import partition_of
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route


class Revision(msgspec.Struct, frozen=True):
    """How far the log is folded into a published table.

    Attributes:
        newest: For each partition the newest entry that the table shows.
    """

    newest: tuple[EntryId, ...]

    def __str__(self) -> str:
        return ",".join(map(str, self.newest))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the revision that `str` of one has printed.

        Raises:
            InvalidPositionError: It is none.
        """
        return cls(tuple(map(EntryId.parse, text.split(","))))

    def shows(self, partition: int, entry_id: EntryId) -> bool:
        """Whether a table of this revision has folded *entry_id* of *partition*."""
        return partition < len(self.newest) and self.newest[partition] >= entry_id

    def joined(self, other: Self) -> Self:
        """Return the revision that shows what either shows."""
        return type(self)(tuple(map(max, zip(self.newest, other.newest, strict=True))))


class PublishedEndpoint(msgspec.Struct, frozen=True):
    """One endpoint, and its routes that share its traffic by their `traffic_ratio`, each above 0.

    The routes are in the order of their ids, so that equal tables are equal.
    """

    state: Endpoint
    routes: tuple[Route, ...]


class TableSnapshot(msgspec.Struct, frozen=True):
    """The whole table at one revision: immutable, and what every encoder is a function of.

    Attributes:
        identity: The log that the table was folded from.
        revision: Up to where.
        endpoints: By their ids, in their order; destroyed ones are not among them.
        destroyed: The endpoints that were destroyed, for as long as the table remembers them.
    """

    identity: str
    revision: Revision
    endpoints: Mapping[UUID, PublishedEndpoint]
    destroyed: frozenset[UUID] = frozenset()

    @property
    def routes(self) -> int:
        """How many routes get traffic."""
        return sum(len(endpoint.routes) for endpoint in self.endpoints.values())


def revision_of(endpoints: Iterable[Endpoint], partitions: int) -> Revision:
    """Return the revision of a table of *endpoints*, destroyed ones included."""
    newest: list[EntryId] = [START] * partitions
    for endpoint in endpoints:
        partition = partition_of(endpoint.endpoint_id, partitions)
        newest[partition] = max(newest[partition], endpoint.version)
    return Revision(tuple(newest))


def published(state: Endpoint, routes: Iterable[Route]) -> PublishedEndpoint:
    """Return *state* with the *routes* that get traffic, in the order of their ids."""
    return PublishedEndpoint(state, tuple(sorted(routes, key=lambda route: route.route_id)))


def snapshot_of(
    identity: str,
    revision: Revision,
    endpoints: Sequence[PublishedEndpoint],
    destroyed: Iterable[UUID] = (),
) -> TableSnapshot:
    """Return the snapshot of *endpoints*, and of those that were *destroyed*."""
    ordered = sorted(endpoints, key=lambda one: one.state.endpoint_id)
    by_id = {one.state.endpoint_id: one for one in ordered}
    return TableSnapshot(identity, revision, by_id, frozenset(destroyed))
