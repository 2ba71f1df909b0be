"""Which routes are probed, phase by phase, and since when their grace runs."""

from collections.abc import Sequence

import pytest

from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus
from producers.checker.schedule.target import targets_of
from projections.route_table.phase import Phase, phase_of
from tests.support.histories import (
    at,
    checked,
    created,
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
)

CHECKED = created(health_check=HealthCheck(path="/health"))
RUNNING = (route_created(), started())
PHASES: dict[Phase, tuple[Event, ...]] = {
    "provisioning": (route_created(),),
    "warming_up": RUNNING,
    "running": (*RUNNING, observed("healthy")),
    "draining": (*RUNNING, terminating()),
    "terminating": (*RUNNING, terminating(), drained()),
    "terminated": (listed(record(status="terminated")),),
    "failed_to_start": (route_created(), failed()),
}


def probed(happened: Sequence[Event]) -> list[int]:
    """Return when the grace of each route began that is probed after this."""
    found = targets_of([endpoint_of(history(*happened))], lambda _endpoint: True)
    return [target.started_at.ms for target, _ in found.values()]


@pytest.mark.parametrize("phase", PHASES)
def test_what_warms_up_or_runs_is_probed_and_nothing_else(phase: Phase) -> None:
    happened = (CHECKED, *PHASES[phase])
    endpoint = endpoint_of(history(*happened))
    [route] = endpoint.present_routes
    assert phase_of(endpoint, route) == phase
    assert len(probed(happened)) == (phase in {"warming_up", "running"})


@pytest.mark.parametrize("health", ["healthy", "unhealthy"])
def test_an_unhealthy_route_is_probed_on_as_a_healthy_one_is(health: ModelServiceStatus) -> None:
    happened = (CHECKED, *RUNNING, observed(health))
    assert len(probed(happened)) == 1


def test_the_grace_runs_from_the_start_of_the_session_not_from_the_creation() -> None:
    waited_for_a_gpu = [CHECKED] * 20
    happened = (CHECKED, route_created(), *waited_for_a_gpu, started())
    assert probed(happened) == [at(len(happened)).ms]
    assert at(2).ms < at(len(happened)).ms


def test_no_route_is_probed_of_an_endpoint_that_is_not_checked_any_more() -> None:
    assert probed((CHECKED, *RUNNING, checked(None))) == []
    assert probed((created(), *RUNNING)) == []
    assert len(probed((created(), *RUNNING, checked(HealthCheck(path="/"))))) == 1


def test_an_endpoint_of_another_checker_is_left_to_it() -> None:
    endpoint = endpoint_of(history(CHECKED, *RUNNING))
    assert targets_of([endpoint], lambda _endpoint: False) == {}
