from uuid import UUID

import pytest
from msgspec.structs import replace

from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.catalogue.traffic_split import Rollout
from producers.rollout.health_gate import GateSettings, worse
from projections.requests.request_counts import RequestCounts
from projections.route_table.endpoint import Endpoint
from tests.support.histories import (
    ROUTES,
    created,
    endpoint_of,
    failed,
    flapping,
    history,
    listed,
    observed,
    record,
    split,
    switched,
    terminating,
)

HERE = {"status": "running", "kernel_host": "10.0.0.1", "kernel_port": 30_000}
ROLLOUT = Rollout(to="v2", back={"v1": 100.0}, percents=(100.0,), every_s=60.0)
FOUR = tuple(
    replace(record(0, labels={"revision": revision}, **HERE), route_id=UUID(int=n))
    for n, revision in enumerate(("v1", "v1", "v2", "v2"))
)


def of(n: int, new_status: str) -> Event:
    return replace(observed(new_status), route_id=UUID(int=n))  # type: ignore[arg-type]


def chat(*further: Event, checked: bool = True) -> Endpoint:
    check = HealthCheck(path="/health") if checked else None
    healthy = [of(n, "healthy") for n in range(4)]
    shares = split({"v1": 95.0, "v2": 5.0}, ROLLOUT)
    return endpoint_of(
        history(created(health_check=check), listed(*FOUR), *healthy, shares, *further)
    )


def verdict(endpoint: Endpoint, reports: dict[int, tuple[int, int]] | None = None) -> str | None:
    by_route = {UUID(int=n): RequestCounts(*counts) for n, counts in (reports or {}).items()}
    return worse(endpoint, ROLLOUT, by_route, GateSettings())


def test_given_all_healthy_the_gate_lets_it_go_on() -> None:
    assert verdict(chat()) is None


def test_given_a_greater_part_unhealthy_it_does_worse() -> None:
    assert verdict(chat(of(2, "unhealthy"))) == (
        "revision v2: 1 of 2 routes unhealthy or failed, 0 of 2 before"
    )


def test_given_a_route_that_flaps_it_does_worse_although_it_was_last_healthy() -> None:
    flaps = replace(flapping(on=True), route_id=UUID(int=2))
    assert verdict(chat(flaps)) == "revision v2: 1 of 2 routes unhealthy or failed, 0 of 2 before"
    assert verdict(chat(flaps, checked=False)) is None


def test_given_the_same_part_unhealthy_on_both_sides_it_goes_on() -> None:
    assert verdict(chat(of(2, "unhealthy"), of(0, "unhealthy"))) is None
    assert verdict(chat(of(0, "unhealthy"), of(1, "unhealthy"))) is None


def test_given_a_route_that_failed_it_does_worse_even_without_a_health_check() -> None:
    broken = replace(failed(0, "no GPU"), route_id=UUID(int=2))
    assert verdict(chat(broken, checked=False)) == (
        "revision v2: 1 of 2 routes unhealthy or failed, 0 of 2 before"
    )


def test_given_no_health_check_what_was_once_found_says_nothing() -> None:
    assert verdict(chat(of(2, "unhealthy"), checked=False)) is None


@pytest.mark.parametrize("end", ["unhealthy", "terminating"])
def test_given_no_route_that_can_take_traffic_it_does_worse(end: str) -> None:
    ends = [
        of(n, end) if end == "unhealthy" else replace(terminating(), route_id=UUID(int=n))
        for n in (2, 3)
    ]
    old_are_no_better = [of(0, "unhealthy"), of(1, "unhealthy")]
    assert verdict(chat(*ends, *old_are_no_better)) == "revision v2: no route can take traffic"


def test_given_an_old_route_that_is_ending_it_is_no_measure() -> None:
    ending = replace(terminating(), route_id=UUID(int=0))
    assert verdict(chat(of(0, "unhealthy"), ending, of(2, "unhealthy"))) is not None


def test_given_traffic_that_is_switched_off_for_the_endpoint_it_does_not_do_worse() -> None:
    assert verdict(chat(switched("inactive", None))) is None


def test_given_no_share_at_all_its_health_still_counts() -> None:
    assert verdict(chat(split({"v1": 100.0}, ROLLOUT))) is None


def test_given_more_failed_requests_it_does_worse() -> None:
    assert verdict(chat(), {0: (990, 10), 2: (20, 1), 3: (17, 2)}) == (
        "revision v2: 7.5% of 40 requests failed, 1.0% of 1000 before"
    )


def test_given_as_many_failed_requests_as_before_it_goes_on() -> None:
    assert verdict(chat(), {0: (90, 10), 2: (90, 10)}) is None
    assert verdict(chat(), {0: (99, 1), 2: (97, 3)}) is None  # within the margin
    assert verdict(chat(), {0: (99, 1), 2: (96, 4)}) is not None


def test_given_few_requests_their_failures_say_nothing() -> None:
    assert verdict(chat(), {2: (9, 10)}) is None
    assert verdict(chat(), {2: (9, 11)}) is not None


def test_given_reports_of_other_routes_they_say_nothing() -> None:
    assert verdict(chat(), {ROUTES[0].int: (0, 1_000)}) is None
