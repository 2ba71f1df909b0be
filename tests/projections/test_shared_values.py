import gc
import tracemalloc
from uuid import UUID, uuid4

from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck
from projections.route_table import shared_values
from projections.route_table.route_table import ROUTE_TABLE
from projections.route_table.shared_values import shared
from tests.support.histories import created, endpoint_of, history, listed, observed, record

ENDPOINTS = 1_000
BYTES_MAX = 4_000
"""Of an endpoint with four routes, all asked for: without sharing it takes 6,000."""

ROUTES = [
    record(n, status="running", kernel_host=f"10.0.0.{n}", kernel_port=30_000 + n) for n in range(2)
]
STATE = endpoint_of(
    history(
        created(name="chat", health_check=HealthCheck(path="/health")),
        listed(*ROUTES),
        *(observed("healthy", n) for n in range(2)),
    )
)


def document(endpoint_id: UUID) -> bytes:
    routes = [
        replace(route, route_id=uuid4(), session_id=uuid4())
        for route in (*STATE.routes.values(), *STATE.routes.values())
    ]
    by_id = {route.route_id: route for route in routes}
    return ROUTE_TABLE.encode(replace(STATE, endpoint_id=endpoint_id, routes=by_id), 1)


def test_a_decoded_document_is_what_was_encoded() -> None:
    assert ROUTE_TABLE.read(ROUTE_TABLE.encode(STATE, 3)) == (3, STATE)


def test_equal_values_of_two_endpoints_are_kept_once() -> None:
    one, other = (ROUTE_TABLE.read(document(uuid4()))[1] for _ in range(2))
    assert one.health_check is other.health_check
    for first, second in zip(
        sorted(one.present_routes, key=lambda route: route.kernel_port or 0),
        sorted(other.present_routes, key=lambda route: route.kernel_port or 0),
        strict=True,
    ):
        assert first.kernel_host is second.kernel_host
        assert first.kernel_port is second.kernel_port
        assert first.listed_at is one.list_at


def test_an_endpoint_of_four_routes_takes_little_memory() -> None:
    documents = [document(uuid4()) for _ in range(ENDPOINTS)]
    ROUTE_TABLE.read(documents[0])
    gc.collect()
    tracemalloc.start()
    held = {
        state.endpoint_id: (revision, state) for revision, state in map(ROUTE_TABLE.read, documents)
    }
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(held) == ENDPOINTS
    assert taken / ENDPOINTS < BYTES_MAX


def test_values_that_are_equal_but_not_the_same_are_kept_apart() -> None:
    assert [type(shared(each)) for each in (1, 1.0, True)] == [int, float, bool]


def test_only_so_many_values_are_known() -> None:
    for number in range(shared_values.VALUES_MAX + 10):
        shared(number)
    assert len(shared_values._known) <= shared_values.VALUES_MAX
