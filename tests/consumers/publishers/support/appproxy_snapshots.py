"""Snapshots of one endpoint with fixed ids, for bytes that a test spells out."""

from typing import Any
from uuid import UUID

from msgspec.structs import replace

from consumers.publishers.table_snapshot import Revision, TableSnapshot, published, snapshot_of
from events.catalogue.route import RouteRecord
from events.entry.entry_id import EntryId
from projections.route_table.endpoint import Endpoint
from projections.route_table.routing import routable
from tests.support.histories import created, endpoint_of, history, listed

E = UUID("00000000-0000-4000-8000-0000000000e1")
GONE = UUID("00000000-0000-4000-8000-0000000000e9")


def route(number: int, **fields: Any) -> RouteRecord:  # noqa: ANN401 - the record's fields
    made = RouteRecord(
        route_id=UUID(f"00000000-0000-4000-8000-0000000000b{number}"),
        session_id=UUID(f"00000000-0000-4000-8000-0000000000a{number}"),
        app="api",
        kernel_host="10.0.0.1",
        kernel_port=30_000 + number,
        status="running",
    )
    return replace(made, **fields)


def snapshot(*endpoints: Endpoint) -> TableSnapshot:
    present = [published(endpoint, routable(endpoint)) for endpoint in endpoints]
    return snapshot_of("a-log", Revision((EntryId(5, 0),)), present, [GONE])


def endpoint(*routes: RouteRecord, **fields: Any) -> Endpoint:  # noqa: ANN401 - the event's
    made = endpoint_of(history(created(**fields), listed(*routes)))
    return replace(made, endpoint_id=E)
