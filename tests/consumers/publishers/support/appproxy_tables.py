"""Draws route tables, the oddest that may stand there, for a real AppProxy to take."""

from uuid import UUID

from hypothesis import strategies as st

from consumers.publishers.table_snapshot import Revision, TableSnapshot, published, snapshot_of
from events.catalogue.endpoint import Owner
from events.entry.entry_id import EntryId
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route

_TEXT = st.text(min_size=1, max_size=256)
_HOSTS = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(["node-1", "localhost", "a_b.example", "::1", "1.2.3", "-", "x?y#z", "a@b"]),
    st.text(min_size=1, max_size=255),
)
_ROUTES = st.builds(
    Route,
    route_id=st.integers(1, 40).map(lambda number: UUID(int=number)),
    session_id=st.none() | st.integers(100, 120).map(lambda number: UUID(int=number)),
    app=st.just("") | _TEXT,
    kernel_host=_HOSTS,
    kernel_port=st.sampled_from([1, 80, 8_000, 65_535]),
    protocol=st.sampled_from(["http", "http", "h2", "grpc", "tcp", "preopen"]),
    traffic_ratio=st.floats(0, 1_000_000, exclude_min=True) | st.just(1.0),
    status=st.just("running"),
    health=st.sampled_from(["healthy", "unhealthy", "not_checked"]),
    listed_at=st.just(EntryId(1, 0)),
)
_OWNERS = st.builds(Owner, domain=_TEXT, project=_TEXT, user=_TEXT | st.uuids().map(str))
_ENDPOINTS = st.builds(
    lambda number, routes, **fields: published(
        Endpoint(
            endpoint_id=UUID(int=1_000 + number),
            routes={route.route_id: route for route in routes},
            **fields,
        ),
        routes,
    ),
    st.integers(1, 4),
    st.lists(_ROUTES, max_size=6, unique_by=lambda route: route.route_id),
    name=st.none() | _TEXT,
    runtime_variant=st.none() | _TEXT,
    open_to_public=st.booleans(),
    owner=st.none() | _OWNERS,
)

TABLES: st.SearchStrategy[TableSnapshot] = st.builds(
    lambda endpoints: snapshot_of("a-log", Revision((EntryId(5, 0),)), endpoints),
    st.lists(_ENDPOINTS, min_size=1, max_size=4, unique_by=lambda one: one.state.endpoint_id),
)
"""Tables of up to four endpoints, whose ids are the same in all of them."""

EMPTY = snapshot_of(
    "a-log",
    Revision((EntryId(6, 0),)),
    [],
    [UUID(int=1_000 + number) for number in range(1, 5)],
)
"""The table after them, in which all four are destroyed."""
