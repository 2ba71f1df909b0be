"""The phases of routes and endpoints: each cell of each table, with a state that is in it."""

from pathlib import Path
from typing import Any

import pytest

from docs.pages.states_page import states_page
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from projections.route_table.endpoint import Endpoint
from projections.route_table.phase import (
    ENDPOINT_PHASES,
    ORIGINAL,
    PHASES,
    condition_of,
    counts_as_healthy,
    endpoint_phase,
    original_status,
    phase_of,
    serves,
)
from projections.route_table.routing import routable
from tests.support.histories import (
    ROUTES,
    checked,
    created,
    destroyed,
    drained,
    endpoint_of,
    failed,
    history,
    listed,
    observed,
    record,
    route_created,
    started,
    terminating,
    wanted,
)

CHECK = HealthCheck(path="/health")
CHECKED, UNCHECKED = created(health_check=CHECK), created()
RUNNING = (route_created(), started())
DRAINING, LEFT = (*RUNNING, terminating()), (*RUNNING, terminating(), drained())
TERMINATED = (listed(record(status="terminated")),)
HEALTHY, UNHEALTHY = observed("healthy"), observed("unhealthy")

CELLS: dict[tuple[str, str], tuple[Event, ...]] = {
    ("provisioning", ""): (CHECKED, route_created()),
    ("running", "no address"): (CHECKED, listed(record(status="running"))),
    ("running", "no success"): (CHECKED, *RUNNING),
    ("running", "proven"): (CHECKED, *RUNNING, HEALTHY),
    ("terminating", "not drained"): (CHECKED, *DRAINING),
    ("terminating", "drained"): (CHECKED, *LEFT),
    ("terminated", ""): (CHECKED, *TERMINATED),
    ("failed", ""): (CHECKED, route_created(), failed()),
}
"""A history that leads to each cell of `PHASES`."""


def after(*happened: Event) -> Endpoint:
    return endpoint_of(history(*happened))


def phase_after(*happened: Event) -> str:
    endpoint = after(*happened)
    return phase_of(endpoint, endpoint.routes[ROUTES[0]])


@pytest.mark.parametrize(
    ("cell", "phase"),
    [
        (("provisioning", ""), "provisioning"),
        (("running", "no address"), "provisioning"),
        (("running", "no success"), "warming_up"),
        (("running", "proven"), "running"),
        (("terminating", "not drained"), "draining"),
        (("terminating", "drained"), "terminating"),
        (("terminated", ""), "terminated"),
        (("failed", ""), "failed_to_start"),
    ],
)
def test_a_status_under_a_condition_is_a_phase(cell: tuple[str, str], phase: str) -> None:
    endpoint = after(*CELLS[cell])
    route = endpoint.routes[ROUTES[0]]
    assert (route.status, condition_of(endpoint, route)) == cell
    assert phase_of(endpoint, route) == phase


def test_every_cell_of_the_phases_is_tested() -> None:
    assert set(CELLS) == set(PHASES)


@pytest.mark.parametrize("check", [None, CHECK])
@pytest.mark.parametrize("health", [(), (HEALTHY,), (UNHEALTHY,)])
@pytest.mark.parametrize(
    ("happened", "original"),
    [
        ((route_created(),), "provisioning"),
        (RUNNING, None),
        (DRAINING, "terminating"),
        (LEFT, "terminating"),
        (TERMINATED, "terminating"),
        ((route_created(), failed()), "failed_to_start"),
    ],
)
def test_the_five_values_of_the_original(
    happened: tuple[Event, ...],
    original: str | None,
    health: tuple[Event, ...],
    check: HealthCheck | None,
) -> None:
    endpoint = after(created(health_check=check), *happened, *health)
    route = endpoint.routes[ROUTES[0]]
    if original is None:
        first_found = "healthy" if health == (HEALTHY,) else "unhealthy"
        original = "healthy" if check is None else first_found if health else "provisioning"
    assert original_status(endpoint, route) == original
    assert serves(endpoint, route) == (original == "healthy") == bool(routable(endpoint))


def test_every_phase_has_an_original_status_healthy_or_not() -> None:
    assert set(ORIGINAL) == {(phase, is_so) for phase in PHASES.values() for is_so in (True, False)}


@pytest.mark.parametrize("late", [HEALTHY, UNHEALTHY, started(), route_created(1), drained(1)])
@pytest.mark.parametrize("ended", [DRAINING, LEFT, (route_created(), failed())])
def test_a_late_status_never_turns_a_terminating_route_back(
    ended: tuple[Event, ...], late: Event
) -> None:
    assert phase_after(CHECKED, *ended, late) == phase_after(CHECKED, *ended)


def test_a_health_event_never_changes_which_routes_there_are() -> None:
    for health in (HEALTHY, UNHEALTHY):
        assert after(CHECKED, health).present_routes == []
        there = after(CHECKED, route_created(1), health)
        assert [route.route_id for route in there.present_routes] == [ROUTES[1]]


def test_a_route_without_a_health_check_is_healthy_from_its_start() -> None:
    assert phase_after(UNCHECKED, *RUNNING) == "running"
    endpoint = after(UNCHECKED, *RUNNING, UNHEALTHY)
    assert counts_as_healthy(endpoint, endpoint.routes[ROUTES[0]])
    assert endpoint_phase(endpoint) == "ready"


def test_a_route_that_starts_anew_warms_up_anew() -> None:
    assert phase_after(CHECKED, *RUNNING, HEALTHY, started(kernel_port=1)) == "warming_up"
    assert phase_after(CHECKED, *RUNNING, HEALTHY, UNHEALTHY) == "running"


def routes(*phases: str) -> list[Event]:
    """Return what brings routes 0, 1, … into the phases given."""
    happened: list[Event] = []
    for number, phase in enumerate(phases):
        happened.append(route_created(number))
        if phase != "provisioning":
            happened.append(started(number))
        if phase in {"healthy", "unhealthy"}:
            happened.append(observed(phase, number))  # type: ignore[arg-type]
        if phase == "draining":
            happened.append(terminating(number))
    return happened


@pytest.mark.parametrize(
    ("replicas", "phases", "expected"),
    [
        (None, (), "pending"),
        (2, (), "degraded"),
        (0, (), "ready"),
        (1, ("provisioning",), "pending"),
        (2, ("provisioning", "warming_up"), "pending"),
        (1, ("unhealthy",), "degraded"),
        (2, ("healthy",), "degraded"),
        (2, ("healthy", "unhealthy"), "degraded"),
        (2, ("healthy", "warming_up"), "scaling"),
        (2, ("healthy", "provisioning"), "scaling"),
        (1, ("healthy", "healthy"), "scaling"),
        (0, ("healthy",), "scaling"),
        (2, ("healthy", "healthy"), "ready"),
        (2, ("healthy", "healthy", "draining"), "ready"),
        (None, ("healthy", "healthy"), "ready"),
        (None, ("healthy", "warming_up"), "scaling"),
        (None, ("healthy", "unhealthy"), "degraded"),
    ],
)
def test_the_phase_of_an_endpoint_follows_from_its_routes(
    replicas: int | None, phases: tuple[str, ...], expected: str
) -> None:
    said: list[Any] = [] if replicas is None else [wanted(replicas)]
    assert endpoint_phase(after(CHECKED, *said, *routes(*phases))) == expected


def test_a_destroyed_endpoint_is_destroyed_whatever_it_had() -> None:
    assert endpoint_phase(after(CHECKED, wanted(1), *routes("healthy"), destroyed())) == "destroyed"
    assert len(ENDPOINT_PHASES) == 6


def test_an_endpoint_is_not_degraded_by_a_check_that_begins_later() -> None:
    served = (UNCHECKED, *RUNNING)
    assert endpoint_phase(after(*served)) == "ready"
    assert endpoint_phase(after(*served, checked(CHECK))) == "pending"
    assert endpoint_phase(after(*served, checked(CHECK), HEALTHY)) == "ready"


def test_the_page_of_the_states_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "states.md"
    assert page.read_text() == states_page(), "python -m docs.pages.states_page > docs/states.md"
