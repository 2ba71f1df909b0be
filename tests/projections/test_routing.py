from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck
from events.catalogue.route import RouteStatus
from events.entry.entry_id import EntryId
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Health, Route
from projections.route_table.routing import gets_traffic, is_reachable, routable
from tests.support.histories import FIT, E

STATUSES: tuple[RouteStatus, ...] = (
    *("provisioning", "running", "terminating", "terminated", "failed"),
)
HEALTHS: tuple[Health, ...] = ("not_checked", "healthy", "unhealthy", "degraded")
CHECK = HealthCheck(path="/health")


def endpoint(*routes: Route, health_check: HealthCheck | None = CHECK) -> Endpoint:
    numbered = [replace(route, route_id=UUID(int=place)) for place, route in enumerate(routes)]
    by_id = {route.route_id: route for route in numbered}
    return Endpoint(endpoint_id=E, health_check=health_check, routes=by_id)


def count(*routes: Route, panic_threshold: float = 0.0) -> int:
    return len(routable(endpoint(*routes), panic_threshold))


TABLE = {
    (status, addressed, health, checked): (
        status in ("provisioning", "running") and addressed and (not checked or health == "healthy")
    )
    for status, addressed, health, checked in product(
        STATUSES, (True, False), HEALTHS, (True, False)
    )
}


@pytest.mark.parametrize(("row", "gets"), TABLE.items(), ids=str)
def test_the_truth_table(row: tuple[RouteStatus, bool, Health, bool], gets: bool) -> None:  # noqa: FBT001
    status, addressed, health, checked = row
    host = "10.0.0.1" if addressed else None
    route = replace(FIT, status=status, kernel_host=host, health=health)
    assert gets_traffic(route, checked=checked) is gets
    of_endpoint = endpoint(route, health_check=CHECK if checked else None)
    assert bool(routable(of_endpoint)) is gets


def test_the_truth_table_has_these_many_rows_with_traffic() -> None:
    assert (len(TABLE), sum(TABLE.values())) == (80, 10)


def test_half_an_address_is_none() -> None:
    assert not is_reachable(replace(FIT, kernel_port=None))
    assert not is_reachable(replace(FIT, kernel_host=None))


def test_a_route_of_weight_zero_gets_nothing() -> None:
    light = replace(FIT, traffic_ratio=0.0)
    assert count(light, FIT) == 1
    assert count(light) == 0
    assert count(replace(FIT, traffic_ratio=0.001)) == 1


def test_a_disabled_route_gets_nothing_and_keeps_its_weight() -> None:
    off = replace(FIT, traffic_status="inactive", traffic_ratio=0.25)
    assert count(off, FIT) == 1
    assert count(off, SICK, panic_threshold=1.0) == 1
    assert is_reachable(off)  # a checker goes on looking at it
    [again] = routable(endpoint(replace(off, traffic_status="active")))
    assert again.traffic_ratio == 0.25


def test_a_disabled_endpoint_gets_nothing_whatever_its_routes_are() -> None:
    off = replace(endpoint(FIT, FIT), traffic_status="inactive")
    assert routable(off, 1.0) == ()


def test_a_route_that_was_only_heard_of_gets_nothing() -> None:
    assert count(replace(FIT, listed_at=EntryId(0, 0))) == 0


SICK = replace(FIT, health="unhealthy")
GONE = replace(SICK, status="terminating")


def test_below_the_panic_threshold_all_that_can_be_reached_get_traffic() -> None:
    assert count(FIT, SICK, SICK, SICK) == 1
    assert count(FIT, SICK, SICK, SICK, panic_threshold=0.5) == 4
    assert count(SICK, SICK, panic_threshold=0.1) == 2


def test_at_the_panic_threshold_only_the_healthy_get_traffic() -> None:
    assert count(FIT, SICK, panic_threshold=0.5) == 1
    assert count(FIT, panic_threshold=1.0) == 1


def test_a_panic_sends_nothing_to_what_has_ended_or_has_no_weight() -> None:
    light = replace(SICK, traffic_ratio=0.0)
    assert count(SICK, GONE, light, panic_threshold=1.0) == 1


def test_a_panic_sends_nothing_to_a_route_that_loads_its_weights() -> None:
    loading = replace(FIT, health="not_checked")
    check = replace(CHECK, warm_up_time=1_200.0)
    assert len(routable(endpoint(loading, SICK, health_check=check), 1.0)) == 1
    assert len(routable(endpoint(loading, SICK), 1.0)) == 2


def test_what_has_ended_does_not_count_towards_the_threshold() -> None:
    assert count(FIT, SICK, GONE, GONE, GONE, panic_threshold=0.5) == 1


some_routes = st.builds(
    lambda health, ratio: replace(FIT, health=health, traffic_ratio=ratio),
    st.sampled_from(HEALTHS),
    st.sampled_from([0.0, 1.0]),
)


@given(st.lists(some_routes, max_size=6), st.floats(0, 1))
def test_a_panic_only_ever_adds_routes(routes: list[Route], threshold: float) -> None:
    calm = routable(endpoint(*routes))
    assert set(calm) <= set(routable(endpoint(*routes), threshold))
