"""A feed of snapshots that a test puts there, and endpoints to make them of."""

from typing import Any
from uuid import UUID, uuid5

import anyio

from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.publishers.table_snapshot import (
    TableSnapshot,
    published,
    revision_of,
    snapshot_of,
)
from events.entry.entry_id import EntryId
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.routing import routable

_IDS = UUID("0199d3a0-0000-7000-8000-000000000000")


class PutFeed(SnapshotFeed):
    """A feed without a reader: the test is the route table."""

    def __init__(self) -> None:
        self._newest: TableSnapshot | None = None
        self._changed = anyio.Event()
        self.sequence = 0

    @property
    def problem(self) -> str | None:
        return None if self._newest else "the route table has no endpoint yet"

    def put(self, snapshot: TableSnapshot) -> None:
        self._newest = snapshot
        self.sequence += 1
        self._changed.set()
        self._changed = anyio.Event()


def route_of(number: int, port: int | None = 8_000, **fields: Any) -> Route:  # noqa: ANN401 - fields of any type
    given = {
        "session_id": None,
        "app": "",
        "kernel_host": "127.0.0.1",
        "protocol": "http",
        "traffic_ratio": 1.0,
        "status": "running",
        "health": "healthy",
        "listed_at": EntryId(1, 0),
    }
    route_id = uuid5(_IDS, f"route {number}")
    return Route(**{"route_id": route_id, "kernel_port": port, **given, **fields})


def endpoint_of(called: str, *routes: Route, at: int = 1, **fields: Any) -> Endpoint:  # noqa: ANN401 - fields of any type
    """Return the endpoint *called* so, last changed at *at*."""
    by_id = {route.route_id: route for route in routes}
    given = {
        "name": called,
        "version": EntryId(at, 0),
        "created_at": EntryId(1, 0),
        "routes": by_id,
    }
    return Endpoint(**{"endpoint_id": uuid5(_IDS, called), **given, **fields})


def snapshot_at(*endpoints: Endpoint, at: int = 1) -> TableSnapshot:
    """Return the snapshot of *endpoints* at the revision `at-0`, unless one of them is newer."""
    marker = Endpoint(endpoint_id=_IDS, version=EntryId(at, 0), destroyed_at=EntryId(at, 0))
    revision = revision_of([*endpoints, marker], 1)
    return snapshot_of("a-log", revision, [published(one, routable(one)) for one in endpoints])
