"""A route that flaps is told by whoever shows health, gets no traffic, and is recorded once."""

import io
import json
from collections.abc import AsyncIterator
from uuid import UUID

import anyio
import pytest
from rich.console import Console

from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.endpoints.why import why
from consumers.cli.health.health import health
from consumers.cli.top.endpoint_detail import endpoint_detail
from events import EventLog, RouteFlappingEvent, RouteRecord, open_history
from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.health_check import HealthCheck
from events.catalogue.route import EndpointRouteListUpdatedEvent
from producers.endpoints.endpoint_service import EndpointService
from projections import open_reader
from tests.consumers.support.commands import Commands
from tests.consumers.support.examination import projecting

ENDPOINT, FIRST, SECOND = UUID(int=1), UUID(int=2), UUID(int=3)
WHY = "flapping: 6 changes within 600 s"


@pytest.fixture
async def served(log: EventLog) -> AsyncIterator[EventLog]:
    """A log with an endpoint of two healthy routes, the first of which flaps."""
    check = HealthCheck(path="/health")
    routes = tuple(
        RouteRecord(route_id=one, kernel_host="10.0.0.1", kernel_port=8_000, status="running")
        for one in (FIRST, SECOND)
    )
    await log.append(
        EndpointCreatedEvent(endpoint_id=ENDPOINT, name="chat", model="m", health_check=check),
        EndpointRouteListUpdatedEvent(endpoint_id=ENDPOINT, routes=routes),
    )
    service = EndpointService(log)
    for route_id in (FIRST, SECOND):
        await service.record_status(ENDPOINT, route_id, "healthy", reason="first success")
    await service.record_flapping(ENDPOINT, FIRST, flapping=True, reason=WHY)
    async with projecting(log):
        yield log


@pytest.fixture
def run(served: EventLog, redis_url: str) -> Commands:
    return Commands(redis_url, served.keys.namespace)


async def test_commands_say_that_a_route_flaps_and_why(run: Commands) -> None:
    assert "healthy, flapping" in (await run(endpoints, "show", "chat")).stdout
    rows = json.loads((await run(endpoints, "show", "chat", "-o", "json")).stdout)["routes"]
    assert [(one["flapping"], one["flapping_reason"]) for one in rows] == [
        (True, WHY),
        (False, None),
    ]
    assert [(one["routable"], one["why_not"]) for one in rows] == [
        (False, "flapping"),
        (True, None),
    ]
    told = (await run(why, "chat")).stdout
    assert "no: flapping" in told
    assert f"yes: {WHY}" in " ".join(told.split())
    assert "healthy, flapping" in (await run(health, "show", "chat")).stdout


async def test_the_live_view_tells_of_a_route_that_flaps(served: EventLog) -> None:
    async with open_history(served) as history:
        shown = await endpoint_detail(history, ENDPOINT, 120)
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(shown)
    assert "healthy, flapping" in captured.get()


async def test_a_flapping_route_gets_no_traffic_whatever_its_health(served: EventLog) -> None:
    async with open_reader(served) as reader:
        assert [one.route_id for one in reader.routable(ENDPOINT)] == [SECOND]
        await EndpointService(served).record_flapping(ENDPOINT, FIRST, flapping=False)
        with anyio.fail_after(30):
            while len(reader.routable(ENDPOINT)) < 2:
                await reader.changed()


async def test_flapping_is_recorded_once_although_two_checkers_overlap(served: EventLog) -> None:
    async def record() -> None:
        await EndpointService(served).record_flapping(ENDPOINT, SECOND, flapping=True)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(record)
    events = [one.event async for one in served.read()]
    recorded = [
        event
        for event in events
        if isinstance(event, RouteFlappingEvent) and event.route_id == SECOND
    ]
    assert [event.flapping for event in recorded] == [True]
