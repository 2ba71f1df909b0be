"""How old health is, when it is stale, and what follows from that for traffic."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import START, EntryId
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import HealthAge, health_age_of, withdrawn
from projections.route_table.route import Route, unknown_route
from projections.route_table.routing import routable
from projections.route_table.traffic import traffic_of

NOW_MS = 10_000_000
CHECK = HealthCheck(path="/health", interval=10.0)
ROUTE: Route = replace(
    unknown_route(UUID(int=1), START),
    kernel_host="10.0.0.1",
    kernel_port=8_000,
    status="running",
    health="healthy",
    listed_at=EntryId(1, 0),
)


def endpoint_with(check: HealthCheck | None, *routes: Route) -> Endpoint:
    return Endpoint(
        endpoint_id=UUID(int=9),
        health_check=check,
        routes={route.route_id: route for route in routes},
    )


def age(route: Route, probed_ms: int | None, check: HealthCheck = CHECK) -> HealthAge:
    found = health_age_of(endpoint_with(check, route), route, probed_ms, NOW_MS)
    assert found is not None
    return found


def test_health_without_any_time_is_stale_and_not_fresh_as_in_issue_6422() -> None:
    known = replace(ROUTE, listed_at=EntryId(NOW_MS + 3_600_000, 0))
    assert age(known, None) == HealthAge(None, None, is_stale=True)


def test_a_time_of_zero_is_no_probe_of_now_as_in_ba_3582() -> None:
    assert age(ROUTE, 0).is_stale


@pytest.mark.parametrize(
    ("interval", "ago_s", "stale"),
    [(10.0, 119.0, False), (10.0, 121.0, True), (60.0, 179.0, False), (60.0, 181.0, True)],
)
def test_health_is_stale_after_120_s_or_three_intervals(
    interval: float, ago_s: float, *, stale: bool
) -> None:
    found = age(ROUTE, NOW_MS - round(ago_s * 1_000), replace(CHECK, interval=interval))
    assert (found.age_s, found.is_stale) == (ago_s, stale)


OLD = HealthAge(0, 1_000.0, is_stale=True)
FRESH = HealthAge(NOW_MS, 0.0, is_stale=False)
STRICT = replace(CHECK, on_stale="unhealthy")


def test_stale_health_goes_on_to_count_unless_the_check_says_otherwise() -> None:
    other = replace(ROUTE, route_id=UUID(int=2))
    ages = {(UUID(int=9), ROUTE.route_id): OLD, (UUID(int=9), other.route_id): FRESH}
    for check, out in ((CHECK, set()), (STRICT, {ROUTE.route_id}), (None, set())):
        endpoint = endpoint_with(check, ROUTE, other)
        stale = withdrawn(endpoint, ages)
        assert stale == out
        left = {route.route_id for route in routable(endpoint, stale=stale)}
        assert left == {ROUTE.route_id, other.route_id} - out


def test_why_a_stale_route_gets_no_traffic_is_said() -> None:
    found = traffic_of(endpoint_with(STRICT, ROUTE), {ROUTE.route_id})[ROUTE.route_id]
    assert (found.share, found.why_not) == (0.0, "health is stale")
    disabled = replace(ROUTE, traffic_status="inactive")
    found = traffic_of(endpoint_with(STRICT, disabled), {ROUTE.route_id})[ROUTE.route_id]
    assert found.why_not == "disabled"


def test_with_a_panic_threshold_stale_routes_are_better_than_none() -> None:
    endpoint = endpoint_with(STRICT, ROUTE)
    assert routable(endpoint, 0.5, stale={ROUTE.route_id}) == (ROUTE,)


def test_a_flapping_route_is_held_unhealthy_where_it_is_checked() -> None:
    flapping = replace(ROUTE, flapping=True, flapping_at=EntryId(7, 0))
    assert routable(endpoint_with(CHECK, flapping)) == ()
    assert routable(endpoint_with(None, flapping)) == (flapping,)
    found = traffic_of(endpoint_with(CHECK, flapping))[ROUTE.route_id]
    assert (found.why_not, found.decided_at) == ("flapping", EntryId(7, 0))


@given(st.integers(0, 2 * NOW_MS), st.floats(0.1, 86_400))
def test_law_a_probe_never_makes_health_older(probed_ms: int, interval: float) -> None:
    check = replace(CHECK, interval=interval)
    without, probed = age(ROUTE, None, check), age(ROUTE, probed_ms, check)
    assert without.age_s is not None
    assert probed.age_s is not None
    assert probed.age_s <= without.age_s
    assert probed.is_stale <= without.is_stale
