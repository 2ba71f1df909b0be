"""Which routes a scale-down removes first."""

from collections.abc import Sequence

from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from producers.life_cycle.removal import suggest_removal
from tests.support.histories import (
    ROUTES,
    created,
    endpoint_of,
    failed,
    history,
    observed,
    route_created,
    started,
    terminating,
)

CHECKED = created(health_check=HealthCheck(path="/"))
HEALTHY = [(route_created(one), started(one), observed("healthy", one)) for one in range(3)]


def suggested(count: int, *happened: Sequence[Event]) -> list[tuple[int, str]]:
    events = [event for some in happened for event in some]
    found = suggest_removal(endpoint_of(history(CHECKED, *events)), count)
    return [(ROUTES.index(one.route.route_id), one.why) for one in found]


def test_a_scale_down_never_takes_a_healthy_route_before_an_unhealthy_one() -> None:
    unhealthy = (*HEALTHY[1][:2], observed("unhealthy", 1))
    assert suggested(1, HEALTHY[0], unhealthy, HEALTHY[2]) == [(1, "unhealthy")]
    assert suggested(9, HEALTHY[0], unhealthy, HEALTHY[2]) == [
        (1, "unhealthy"),
        (2, "healthy"),
        (0, "healthy"),
    ]


def test_failed_routes_go_first_then_unhealthy_then_starting_ones() -> None:
    broken = (route_created(2), failed(2, "no GPU"))
    warming = HEALTHY[0][:2]
    unhealthy = (*HEALTHY[1][:2], observed("unhealthy", 1))
    assert suggested(3, warming, unhealthy, broken) == [
        (2, "failed to start"),
        (1, "unhealthy"),
        (0, "warming up"),
    ]
    assert suggested(3, HEALTHY[0], (route_created(1),), HEALTHY[2][:2]) == [
        (1, "provisioning"),
        (2, "warming up"),
        (0, "healthy"),
    ]


def test_among_equals_the_newest_goes_first() -> None:
    assert [one for one, _ in suggested(3, HEALTHY[1], HEALTHY[0], HEALTHY[2])] == [2, 0, 1]


def test_a_route_that_is_leaving_is_not_suggested() -> None:
    assert suggested(3, HEALTHY[0], (*HEALTHY[1], terminating(1))) == [(0, "healthy")]


def test_without_a_health_check_every_running_route_is_healthy() -> None:
    events = history(created(), *HEALTHY[0][:2], observed("unhealthy"))
    [found] = suggest_removal(endpoint_of(events), 5)
    assert found.why == "healthy"
    assert suggest_removal(endpoint_of(events), 0) == []
