"""Gives publishers the newest snapshot of the route table, whenever it changes."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

import anyio
from anyio.abc import TaskStatus

from consumers.publishers.table_snapshot import (
    PublishedEndpoint,
    Revision,
    TableSnapshot,
    published,
    revision_of,
    snapshot_of,
)
from events.background import in_background
from projections.read_model.reader import RouteTableReader
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import RouteKey


class SnapshotFeed:
    """The newest snapshot, of whatever revision; those in between may never be seen.

    While the reader keeps its last good table, so does the feed: its guard against a table that
    lost most of its routes holds for the proxies, too. A table without any endpoint is no snapshot
    until one with endpoints was seen: a proxy would take it for the order to drop all its routes.

    Attributes:
        sequence: Grows with each snapshot; 0 before the first.
    """

    def __init__(self, reader: RouteTableReader, identity: str, partitions: int) -> None:
        self._reader = reader
        self._identity = identity
        self._revision = revision_of((), partitions)
        self._newest: TableSnapshot | None = None
        self._stale: set[UUID] | None = None
        self._changed = anyio.Event()
        self.sequence = 0

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Follow the reader until cancelled; started when its table was taken once."""
        self._reader.listen(self._note)
        self._take()
        task_status.started()
        while True:
            await self._reader.changed()
            self._take()  # no change is missed: nothing is awaited from here to the next wait

    @property
    def newest(self) -> TableSnapshot | None:
        """The newest snapshot, None before the first."""
        return self._newest

    @property
    def problem(self) -> str | None:
        """Why the newest snapshot is none or may be old, as a sentence; None if all is well."""
        if self._newest is None:
            return "the route table has no endpoint yet"
        if self._reader.state == "following":
            return None
        return f"the table is {self._reader.state}: {self._reader.reason}"

    @property
    def age_s(self) -> float:
        """Seconds for which events may lie in the log that the newest snapshot does not show."""
        return self._reader.age_s

    def report(self, route: RouteKey, successes: int, failures: int) -> None:
        """Tell the health checkers how requests ended that a proxy has counted; it never waits.

        With none of either the route is suspected: it is probed at once, and nothing is counted.
        """
        self._reader.report_counts(route, successes, failures)

    async def after(self, sequence: int) -> TableSnapshot:
        """Wait for a snapshot that came after *sequence*, and return the newest."""
        while self._newest is None or self.sequence <= sequence:
            await self._changed.wait()
        return self._newest

    def _note(self, endpoints: Iterable[UUID] | None) -> None:
        """Remember which *endpoints* have changed since the newest snapshot, None for all."""
        if endpoints is None:
            self._stale = None
        elif self._stale is not None:
            self._stale.update(endpoints)

    def _take(self) -> None:
        stale, self._stale = self._stale, set()
        snapshot = self._all() if self._newest is None or stale is None else self._with(stale)
        if self._newest is None and not snapshot.endpoints:
            return
        if snapshot == self._newest:
            return
        self._newest = snapshot
        self.sequence += 1
        self._changed.set()
        self._changed = anyio.Event()

    def _all(self) -> TableSnapshot:
        """Return the snapshot of the reader's whole table."""
        endpoints = list(self._reader.endpoints())
        present = [self._published(one) for one in endpoints if not one.is_destroyed]
        destroyed = [one.endpoint_id for one in endpoints if one.is_destroyed]
        return snapshot_of(self._identity, self._grown(endpoints), present, destroyed)

    def _with(self, stale: Iterable[UUID]) -> TableSnapshot:
        """Return the newest snapshot with the *stale* endpoints as they are now."""
        newest = self._newest or self._all()
        present, destroyed = dict(newest.endpoints), set(newest.destroyed)
        read: list[Endpoint] = []
        for endpoint_id in stale:
            state = self._reader.endpoint(endpoint_id)
            if state is None or state.is_destroyed:
                present.pop(endpoint_id, None)
            else:
                present[endpoint_id] = self._published(state)
            if state is not None:
                read.append(state)
        destroyed.update(one.endpoint_id for one in read if one.is_destroyed)
        destroyed -= set(stale) - {one.endpoint_id for one in read}
        revision = self._grown(read)
        if present.keys() == newest.endpoints.keys():  # in their order, as they were
            return TableSnapshot(self._identity, revision, present, frozenset(destroyed))
        return snapshot_of(self._identity, revision, list(present.values()), destroyed)

    def _grown(self, endpoints: Iterable[Endpoint]) -> Revision:
        """Return the revision of a table that shows *endpoints*, too; it never goes back."""
        partitions = len(self._revision.newest)
        self._revision = self._revision.joined(revision_of(endpoints, partitions))
        return self._revision

    def _published(self, endpoint: Endpoint) -> PublishedEndpoint:
        routes = self._reader.routable(endpoint.endpoint_id)
        known = self._newest and self._newest.endpoints.get(endpoint.endpoint_id)
        if known and known.state is endpoint and known.routes == routes:  # in the order of ids
            return known
        return published(endpoint, routes)


@asynccontextmanager
async def open_feed(
    reader: RouteTableReader, identity: str, partitions: int
) -> AsyncIterator[SnapshotFeed]:
    """Run a feed of *reader* during the block."""
    feed = SnapshotFeed(reader, identity, partitions)
    async with in_background(feed.run):
        yield feed
