from collections.abc import Callable
from datetime import UTC
from uuid import UUID

import pytest
from msgspec.structs import replace

from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import ROUTES_MAX, RouteRecord
from events.entry.recorded import fold
from events.errors import InvalidEventError
from producers.endpoints import decisions
from producers.endpoints.decisions import Decision, record_of
from producers.errors import (
    EndpointDestroyedError,
    EndpointExistsError,
    RouteEndedError,
    RouteExistsError,
    UnknownEndpointError,
    UnknownRouteError,
)
from producers.life_cycle import route_end
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import evolve
from tests.support.histories import (
    OBSERVED,
    ROUTES,
    SESSIONS,
    at,
    checked,
    created,
    destroyed,
    endpoint_of,
    failed,
    history,
    listed,
    observed,
    record,
    recorded,
    route_created,
    started,
    switched,
    terminating,
    weighted,
)

CHECK = HealthCheck(path="/health")
HERE = {"kernel_host": "10.0.0.1", "kernel_port": 30_000, "session_id": SESSIONS[0]}
RUNNING = record(0, status="running", **HERE)
NOWHERE = endpoint_of([])
DESTROYED = endpoint_of(history(created(), destroyed()))
EMPTY = endpoint_of(history(created(health_check=CHECK)))

COMMANDS: dict[str, Callable[[Endpoint], Decision]] = {
    "update_health_check": lambda endpoint: decisions.update_health_check(endpoint, None),
    "set_route_list": lambda endpoint: decisions.set_route_list(endpoint, [RUNNING]),
    "create_route": lambda endpoint: decisions.create_route(endpoint, record(0)),
    "start_route": lambda endpoint: decisions.start_route(endpoint, RUNNING),
    "terminate_route": lambda endpoint: decisions.terminate_route(endpoint, ROUTES[0]),
    "fail_route": lambda endpoint: route_end.fail(endpoint, ROUTES[0], ["x"]),
    "set_traffic_ratio": lambda endpoint: decisions.set_traffic_ratio(endpoint, ROUTES[0], 0.5),
    "switch_traffic": lambda endpoint: decisions.switch_traffic(endpoint, ROUTES[0], "inactive"),
    "switch_endpoint": lambda endpoint: decisions.switch_traffic(endpoint, None, "inactive"),
    "record_status": lambda endpoint: decisions.record_status(endpoint, ROUTES[0], "healthy"),
    "destroy": decisions.destroy,
}
OF_A_ROUTE = [
    *("start_route", "terminate_route", "fail_route", "set_traffic_ratio", "switch_traffic"),
    "record_status",
]


def given(*events: Event) -> Endpoint:
    return endpoint_of(history(created(health_check=CHECK), *events))


@pytest.mark.parametrize("command", COMMANDS)
def test_an_endpoint_that_was_never_heard_of_takes_no_command(command: str) -> None:
    with pytest.raises(UnknownEndpointError, match="`endpoints ls` shows those that are"):
        COMMANDS[command](NOWHERE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_destroyed_endpoint_takes_no_command(command: str) -> None:
    with pytest.raises(EndpointDestroyedError, match="was destroyed; create another one"):
        COMMANDS[command](DESTROYED)


@pytest.mark.parametrize("command", OF_A_ROUTE)
@pytest.mark.parametrize(
    "endpoint",
    [EMPTY, given(route_created(0), listed()), given(started(0), observed("unhealthy"))],
    ids=["no route", "route taken away", "route only heard of"],
)
def test_a_route_that_is_not_there_takes_no_command(command: str, endpoint: Endpoint) -> None:
    with pytest.raises(UnknownRouteError, match="`endpoints show` lists its routes"):
        COMMANDS[command](endpoint)


def test_an_endpoint_is_created_once() -> None:
    assert decisions.create(NOWHERE, created()) == (created(),)
    with pytest.raises(EndpointExistsError):
        decisions.create(EMPTY, created())
    with pytest.raises(EndpointDestroyedError):
        decisions.create(DESTROYED, created())
    with pytest.raises(InvalidEventError, match="name"):
        decisions.create(NOWHERE, created(name=""))


def test_a_health_check_is_recorded_if_it_is_another_one() -> None:
    other = replace(CHECK, interval=5.0)
    assert decisions.update_health_check(EMPTY, other) == (checked(other),)
    assert decisions.update_health_check(EMPTY, None) == (checked(None),)
    assert decisions.update_health_check(EMPTY, CHECK) == ()
    with pytest.raises(InvalidEventError, match=r"health_check\.interval"):
        decisions.update_health_check(EMPTY, replace(CHECK, interval=-1))


def test_a_list_of_running_routes_starts_them() -> None:
    other = record(1)
    assert decisions.set_route_list(EMPTY, [other, RUNNING]) == (
        *(listed(RUNNING, other), started(0)),
    )


@pytest.mark.parametrize(
    "endpoint",
    [given(listed(RUNNING), started(0)), given(started(0)), given(route_created(0), started(0))],
    ids=["listed", "only heard of", "created"],
)
def test_a_list_does_not_start_again_what_runs_in_this_session_at_this_address(
    endpoint: Endpoint,
) -> None:
    lighter = replace(RUNNING, traffic_ratio=0.5)
    assert decisions.set_route_list(endpoint, [lighter]) == (listed(lighter),)


@pytest.mark.parametrize(
    "elsewhere",
    [{"kernel_port": 30_001}, {"kernel_host": "10.0.0.2"}, {"session_id": SESSIONS[1]}],
    ids=["port", "host", "session"],
)
def test_a_list_that_moves_a_route_starts_it_anew(elsewhere: dict[str, object]) -> None:
    moved = replace(RUNNING, **elsewhere)
    endpoint = given(listed(RUNNING), started(0))
    assert decisions.set_route_list(endpoint, [moved]) == (
        listed(moved),
        started(0, **{**HERE, **elsewhere}),
    )


@pytest.mark.parametrize("status", ["provisioning", "terminating", "failed"])
def test_a_list_starts_nothing_that_does_not_run(status: str) -> None:
    one = replace(RUNNING, status=status)
    assert decisions.set_route_list(EMPTY, [one]) == (listed(one),)
    addressless = record(0, status="running")
    assert decisions.set_route_list(EMPTY, [addressless]) == (listed(addressless),)


def test_the_list_that_is_there_is_not_recorded_again_in_whatever_order() -> None:
    endpoint = given(listed(RUNNING, record(1)), started(0))
    assert decisions.set_route_list(endpoint, [record(1), RUNNING]) == ()
    assert decisions.set_route_list(EMPTY, []) == ()
    assert decisions.set_route_list(endpoint, []) == (listed(),)


def test_a_list_has_limits() -> None:
    many = [RouteRecord(route_id=UUID(int=number)) for number in range(ROUTES_MAX + 1)]
    assert len(decisions.set_route_list(EMPTY, many[:-1])) == 1
    with pytest.raises(InvalidEventError, match="routes"):
        decisions.set_route_list(EMPTY, many)
    with pytest.raises(InvalidEventError, match="stands in the list 2 times"):
        decisions.set_route_list(EMPTY, [RUNNING, RUNNING])
    with pytest.raises(InvalidEventError, match=r"routes\[1\].traffic_ratio"):
        decisions.set_route_list(EMPTY, [RUNNING, record(1, traffic_ratio=2e6)])


def test_a_route_is_created_provisioning_and_once() -> None:
    assert decisions.create_route(EMPTY, record(0)) == (route_created(0),)
    with pytest.raises(RouteExistsError, match="already"):
        decisions.create_route(given(route_created(0)), record(0))
    with pytest.raises(InvalidEventError, match="a new route is 'provisioning'"):
        decisions.create_route(EMPTY, RUNNING)


def test_a_route_that_was_only_heard_of_or_taken_away_can_be_created() -> None:
    assert decisions.create_route(given(started(0)), record(0)) == (route_created(0),)
    away = given(route_created(0), listed())
    assert decisions.create_route(away, record(0)) == (route_created(0),)


def test_an_endpoint_takes_a_bounded_number_of_routes() -> None:
    full = given(listed(*(RouteRecord(route_id=UUID(int=number)) for number in range(ROUTES_MAX))))
    with pytest.raises(InvalidEventError, match="the endpoint has 1000, the limit is 1000"):
        decisions.create_route(full, RouteRecord(route_id=UUID(int=5_000)))


def test_a_route_is_started_where_it_runs() -> None:
    assert decisions.start_route(given(route_created(0)), RUNNING) == (started(0),)
    with pytest.raises(InvalidEventError, match="a started route has an address"):
        decisions.start_route(given(route_created(0)), record(0))


def test_a_route_that_runs_there_already_is_not_started_again() -> None:
    running = given(route_created(0), started(0))
    assert decisions.start_route(running, RUNNING) == ()
    assert decisions.start_route(running, replace(RUNNING, traffic_ratio=0.1)) == ()
    for other in ({"app": "vllm"}, {"protocol": "grpc"}, {"session_id": SESSIONS[1]}):
        assert len(decisions.start_route(running, replace(RUNNING, **other))) == 1


def test_a_start_records_labels_that_are_new_and_leaves_them_where_none_are_given() -> None:
    labelled = replace(RUNNING, labels={"zone": "a"})
    running = given(route_created(0, labels={"zone": "b"}), started(0))
    assert decisions.start_route(running, RUNNING) == ()
    assert decisions.start_route(running, labelled) == (started(0, labels={"zone": "a"}),)
    assert decisions.start_route(given(route_created(0)), RUNNING) == (started(0),)


def test_a_list_with_other_labels_is_another_list() -> None:
    running, labelled = given(listed(RUNNING)), replace(RUNNING, labels={"zone": "a"})
    [updated, start] = decisions.set_route_list(running, [labelled])
    assert (updated, start) == (listed(labelled), started(0, labels={"zone": "a"}))
    [route] = given(listed(labelled)).present_routes
    assert record_of(route) == labelled


def test_a_route_that_a_list_took_back_to_provisioning_can_be_started() -> None:
    back = given(listed(RUNNING), started(0), listed(replace(RUNNING, status="provisioning")))
    assert decisions.start_route(back, RUNNING) == (started(0),)


@pytest.mark.parametrize(
    "end", [terminating(0), failed(0), listed(replace(RUNNING, status="terminated"))]
)
def test_a_route_that_has_ended_is_not_started(end: Event) -> None:
    with pytest.raises(RouteEndedError, match="create another one"):
        decisions.start_route(given(route_created(0), end), RUNNING)


def test_a_route_is_terminated_once() -> None:
    running = given(route_created(0), started(0))
    assert decisions.terminate_route(running, ROUTES[0]) == (terminating(0),)
    for end in (terminating(0), failed(0)):
        ended = given(route_created(0), end)
        assert decisions.terminate_route(ended, ROUTES[0]) == ()


def test_a_route_fails_with_its_errors() -> None:
    there = given(route_created(0))
    starting = failed(0, "no GPU", during="provisioning")
    assert route_end.fail(there, ROUTES[0], ["no GPU"]) == (starting,)
    gone = given(route_created(0), failed(0, "no GPU"))
    assert route_end.fail(gone, ROUTES[0], ["no GPU"]) == ()
    assert route_end.fail(gone, ROUTES[0], ["other"]) == (failed(0, "other"),)
    with pytest.raises(InvalidEventError, match="errors"):
        route_end.fail(there, ROUTES[0], ["x" * 4_097])


def test_a_weight_is_recorded_if_it_is_another_one() -> None:
    there = given(route_created(0))
    assert decisions.set_traffic_ratio(there, ROUTES[0], 0.0) == (weighted(0.0),)
    assert decisions.set_traffic_ratio(there, ROUTES[0], 1.0) == ()
    assert decisions.set_traffic_ratio(there, ROUTES[0], 1e6) == (weighted(1e6),)


@pytest.mark.parametrize("ratio", [-0.1, 1_000_001, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(ratio: float) -> None:
    with pytest.raises(InvalidEventError, match="traffic_ratio"):
        decisions.set_traffic_ratio(given(route_created(0)), ROUTES[0], ratio)


def test_a_switch_is_recorded_if_it_or_its_reason_is_another_one() -> None:
    there = given(route_created(0), switched("inactive", 0, "repair"))
    assert decisions.switch_traffic(there, ROUTES[0], "inactive", reason="repair") == ()
    assert decisions.switch_traffic(there, ROUTES[0], "inactive", reason="sold") == (
        switched("inactive", 0, "sold"),
    )
    assert decisions.switch_traffic(there, ROUTES[0], "active") == (switched("active"),)
    assert decisions.switch_traffic(there, None, "active") == ()
    assert decisions.switch_traffic(there, None, "inactive") == (switched("inactive", None),)
    with pytest.raises(InvalidEventError, match="reason"):
        decisions.switch_traffic(there, None, "inactive", reason="x" * 1_025)


def test_a_health_is_recorded_if_it_is_a_change() -> None:
    there = given(route_created(0, session_id=SESSIONS[1]))
    [event] = decisions.record_status(
        there, ROUTES[0], "unhealthy", observed_at=OBSERVED, reason="x", consecutive_failures=3
    )
    sick = {"session_id": SESSIONS[1], "reason": "x", "consecutive_failures": 3}
    assert event == observed("unhealthy", 0, **sick)
    ill = given(route_created(0), observed("unhealthy"))
    assert decisions.record_status(ill, ROUTES[0], "unhealthy", reason="another") == ()
    assert len(decisions.record_status(ill, ROUTES[0], "healthy")) == 1
    with pytest.raises(InvalidEventError, match="reason"):
        decisions.record_status(ill, ROUTES[0], "unhealthy", reason="r" * 1_025)


def test_a_health_is_observed_now_unless_told() -> None:
    [event] = decisions.record_status(given(route_created(0)), ROUTES[0], "healthy")
    assert isinstance(event, ModelServiceStatusEvent)
    assert event.observed_at.tzinfo is UTC


def test_an_endpoint_is_destroyed() -> None:
    assert decisions.destroy(EMPTY) == (destroyed(),)


def test_a_route_is_listed_as_it_is() -> None:
    [route] = given(listed(RUNNING), started(0), weighted(0.25)).present_routes
    assert record_of(route) == replace(RUNNING, traffic_ratio=0.25)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_repeated_on_what_it_led_to_records_nothing_new_or_is_refused(
    command: str,
) -> None:
    before = given(route_created(1)) if command == "create_route" else given(route_created(0))
    decision = COMMANDS[command](before)
    assert decision
    events = [recorded(event, at(place)) for place, event in enumerate(decision, start=50)]
    led_to = fold(evolve, before, events)
    if command in ("create_route", "destroy"):
        with pytest.raises((RouteExistsError, EndpointDestroyedError)):
            COMMANDS[command](led_to)
    else:
        assert COMMANDS[command](led_to) == ()
