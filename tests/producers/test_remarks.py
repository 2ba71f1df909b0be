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
    observed,
    route_created,
    started,
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
