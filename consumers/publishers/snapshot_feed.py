"""Gives publishers the newest snapshot of the route table, whenever it changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import anyio
from anyio.abc import TaskStatus

from consumers.publishers.table_snapshot import (
    PublishedEndpoint,
    TableSnapshot,
    published,
    revision_of,
    snapshot_of,
)
from events.background import in_background
from projections.read_model.reader import RouteTableReader
from projections.route_table.endpoint import Endpoint


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
        self._known: dict[UUID, tuple[Endpoint, PublishedEndpoint]] = {}
        self._newest: TableSnapshot | None = None
        self._changed = anyio.Event()
        self.sequence = 0

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Follow the reader until cancelled; started when its table was taken once."""
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

    async def after(self, sequence: int) -> TableSnapshot:
        """Wait for a snapshot that came after *sequence*, and return the newest."""
        while self._newest is None or self.sequence <= sequence:
            await self._changed.wait()
        return self._newest

    def _take(self) -> None:
        endpoints = list(self._reader.endpoints())
        if self._newest is None and all(endpoint.is_destroyed for endpoint in endpoints):
            return
        partitions = len(self._revision.newest)
        self._revision = self._revision.joined(revision_of(endpoints, partitions))
        present = [self._published(one) for one in endpoints if not one.is_destroyed]
        self._known = {one.state.endpoint_id: (one.state, one) for one in present}
        destroyed = [one.endpoint_id for one in endpoints if one.is_destroyed]
        snapshot = snapshot_of(self._identity, self._revision, present, destroyed)
        if snapshot == self._newest:
            return
        self._newest = snapshot
        self.sequence += 1
        self._changed.set()
        self._changed = anyio.Event()

    def _published(self, endpoint: Endpoint) -> PublishedEndpoint:
        state, known = self._known.get(endpoint.endpoint_id, (None, None))
        if known is not None and state is endpoint:
            return known
        return published(endpoint, self._reader.routable(endpoint.endpoint_id))


@asynccontextmanager
async def open_feed(
    reader: RouteTableReader, identity: str, partitions: int
) -> AsyncIterator[SnapshotFeed]:
    """Run a feed of *reader* during the block."""
    feed = SnapshotFeed(reader, identity, partitions)
    async with in_background(feed.run):
        yield feed
