"""What an action will not do is said with it."""

import pytest

from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.testing import MemoryLog
from producers.endpoints.endpoint_service import EndpointService
from producers.endpoints.remarks import remarks_on
from tests.support.histories import (
    ROUTES,
    E,
    checked,
    created,
    destroyed,
    endpoint_of,
    failed,
    history,
    listed,
    observed,
    record,
    route_created,
    split,
    started,
    switched,
    terminating,
    weighted,
)

CHECK = HealthCheck(path="/health")
RUNNING = (created(health_check=CHECK), route_created(0), started(0))
UNCHECKED = (created(), route_created(0), started(0))
ENDED = f"route {ROUTES[0]} stays in the list as {{}} until its session is recorded as gone"
NONE = f"route {ROUTES[0]} gets no traffic all the same: "


@pytest.mark.parametrize(
    ("before", "event", "remark"),
    [
        (RUNNING, terminating(0), ENDED.format("terminating")),
        (RUNNING, failed(0), ENDED.format("failed")),
        (UNCHECKED, observed("unhealthy"), f"this changes no traffic: endpoint {E} has no health"),
        (UNCHECKED, observed("healthy"), f"this changes no traffic: endpoint {E} has no health"),
        ((*RUNNING, terminating(0)), observed("healthy"), f"{NONE}terminating"),
        ((*RUNNING, weighted(0.0)), observed("healthy"), f"{NONE}weight 0"),
        (RUNNING, weighted(0.5), f"{NONE}not checked"),
        ((*RUNNING, observed("unhealthy")), weighted(0.5), f"{NONE}unhealthy"),
        (RUNNING[:2], started(0), f"{NONE}not checked"),
    ],
)
def test_what_an_action_will_not_do_is_told(
    before: tuple[Event, ...], event: Event, remark: str
) -> None:
    [told] = remarks_on(endpoint_of(history(*before)), (event,))
    assert told.startswith(remark)


V1, V2 = (
    record(n, status="running", kernel_host="10.0.0.1", kernel_port=80, labels={"revision": name})
    for n, name in enumerate(("v1", "v2"))
)
BOTH = (created(health_check=CHECK), listed(V1, V2), observed("healthy", 0))


def test_a_share_that_no_route_can_take_now_is_told() -> None:
    endpoint = endpoint_of(history(*BOTH))
    assert remarks_on(endpoint, (split({"v1": 95.0, "v2": 5.0}),)) == [
        "revision v2: no route can take traffic, its share goes to the others until one can"
    ]
    assert remarks_on(endpoint, (split({"v2": 100.0}),)) == [
        "revision v2: no route can take traffic, no route gets traffic until one can"
    ]


def test_a_share_that_a_route_can_take_is_no_remark_even_while_the_endpoint_is_off() -> None:
    endpoint = endpoint_of(history(*BOTH, observed("healthy", 1), switched("inactive", None)))
    assert remarks_on(endpoint, (split({"v2": 100.0}),)) == []
    assert remarks_on(endpoint, (split({}),)) == []


@pytest.mark.parametrize(
    ("before", "event"),
    [
        (RUNNING, observed("healthy")),
        (RUNNING, observed("unhealthy")),
        ((*RUNNING, observed("healthy")), weighted(0.5)),
        (RUNNING, weighted(0.0)),
        (UNCHECKED[:2], started(0)),
        (RUNNING, checked(None)),
        (RUNNING, destroyed()),
    ],
)
def test_what_does_as_it_says_needs_no_remark(before: tuple[Event, ...], event: Event) -> None:
    assert remarks_on(endpoint_of(history(*before)), (event,)) == []


async def test_the_service_returns_its_remarks_with_what_it_recorded() -> None:
    service = EndpointService(MemoryLog())
    assert (await service.create(created())).remarks == []
    await service.record(E, lambda _: (route_created(0), started(0)))
    recorded = await service.record_status(E, ROUTES[0], "unhealthy")
    assert len(recorded.remarks) == len(recorded.entry_ids) == 1
