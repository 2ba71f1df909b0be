"""What a session's status does to its route: each cell of the table."""

from uuid import UUID

import pytest

from events import RouteTerminatedEvent
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.errors import InvalidEventError
from producers.life_cycle.route_end import REMEMBERED_MAX as LIMIT
from producers.life_cycle.route_end import remove
from producers.life_cycle.session_effects import (
    EFFECTS,
    SessionChange,
    SessionStatus,
    session_changed,
)
from projections.route_table.endpoint import Endpoint
from tests.support.histories import (
    ROUTES,
    SESSIONS,
    E,
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
    terminated,
    terminating,
)

S = SESSIONS[0]
PROVISIONED = route_created(0, session_id=S)
PHASES: dict[str, tuple[Event, ...]] = {
    "provisioning": (PROVISIONED,),
    "warming_up": (PROVISIONED, started()),
    "running": (PROVISIONED, started(), observed("healthy")),
    "draining": (PROVISIONED, started(), terminating()),
    "terminating": (PROVISIONED, started(), terminating(), drained()),
    "terminated": (listed(record(0, session_id=S, status="terminated")),),
    "failed_to_start": (PROVISIONED, failed(0, "no GPU")),
}
TABLE = {
    "running": ("start", "start", "start", "", "", "", ""),
    "terminating": ("terminate", "terminate", "terminate", "", "", "", ""),
    "terminated": ("remove",) * 7,
    "cancelled": ("fail", "fail", "fail", "remove", "remove", "remove", ""),
}
WIRE_NAMES = {
    "start": ["route_started"],
    "terminate": ["route_terminating"],
    "remove": ["route_terminated"],
    "fail": ["route_failed"],
    "": [],
}


def in_phase(phase: str) -> Endpoint:
    return endpoint_of(history(created(health_check=HealthCheck(path="/")), *PHASES[phase]))


@pytest.mark.parametrize(
    ("status", "phase", "effect"),
    [
        (status, phase, effect)
        for status, effects in TABLE.items()
        for phase, effect in zip(PHASES, effects, strict=True)
    ],
)
def test_a_sessions_status_leads_to_one_event_of_its_route(
    status: SessionStatus, phase: str, effect: str
) -> None:
    change = SessionChange(status=status, address=("10.9.9.9", 1), errors=("no GPU",))
    decision = session_changed(in_phase(phase), S, change)
    assert [event.wire_name for event in decision] == WIRE_NAMES[effect]


def test_every_cell_of_the_table_is_tested() -> None:
    assert {(status, phase) for status in TABLE for phase in PHASES} == set(EFFECTS)


def test_a_session_that_says_running_again_records_nothing() -> None:
    assert session_changed(in_phase("warming_up"), S, SessionChange(status="running")) == ()


def test_a_session_cannot_run_at_no_address() -> None:
    with pytest.raises(InvalidEventError, match="kernel_host, kernel_port"):
        session_changed(in_phase("provisioning"), S, SessionChange(status="running"))


def test_a_terminating_session_says_why_and_how_long_it_drains() -> None:
    change = SessionChange(status="terminating", reason="scale down", drain_s=5)
    decision = session_changed(in_phase("running"), S, change)
    assert decision == (terminating(0, reason="scale down", drain_s=5.0),)


@pytest.mark.parametrize("phase", ["provisioning", "warming_up"])
def test_a_cancelled_session_counts_as_a_retry_of_its_endpoint(phase: str) -> None:
    change = SessionChange(status="cancelled", errors=("no GPU left",))
    [event] = session_changed(in_phase(phase), S, change)
    endpoint = endpoint_of(history(*PHASES[phase], event))
    [route] = endpoint.present_routes
    assert (route.status, route.errors) == ("failed", ("no GPU left",))
    before = endpoint_of(history(created(health_check=HealthCheck(path="/")), *PHASES[phase]))
    assert (len(before.failures), len(endpoint.failures)) == (0, 1)


def test_another_session_changes_nothing() -> None:
    change = SessionChange(status="terminated")
    assert session_changed(in_phase("running"), SESSIONS[1], change) == ()


def test_a_session_that_is_gone_is_not_recorded_as_gone_again() -> None:
    gone = endpoint_of(history(*PHASES["running"], terminated()))
    assert session_changed(gone, S, SessionChange(status="terminated")) == ()
    assert remove(gone, ROUTES[0], None) == ()


def test_both_routes_of_a_session_go_with_it() -> None:
    happened = [route_created(0, session_id=S), route_created(1, session_id=S)]
    gone = SessionChange(status="terminated", reason="done")
    decision = session_changed(endpoint_of(history(*happened)), S, gone)
    assert endpoint_of(history(*happened, *decision)).routes.keys() == set(ROUTES[:2])
    assert endpoint_of(history(*happened, *decision)).present_routes == []


def test_ended_routes_are_remembered_up_to_a_bound() -> None:
    created_three = [route_created(one, session_id=S) for one in range(3)]
    endpoint = endpoint_of(history(*created_three))
    ended = [RouteTerminatedEvent(endpoint_id=E, route_id=one) for one in map(_id, range(LIMIT))]
    full = endpoint_of([*history(*created_three, *ended)])
    decision = session_changed(full, S, SessionChange(status="terminated"))
    assert [event.remaining for event in decision] == [()] * 3  # type: ignore[attr-defined]
    few = session_changed(endpoint, S, SessionChange(status="terminated"))
    assert [event.remaining for event in few] == [None] * 3  # type: ignore[attr-defined]
    assert endpoint_of(history(*created_three, *ended, *decision)).routes == {}


def _id(number: int) -> UUID:
    return UUID(int=0xF000 + number)
