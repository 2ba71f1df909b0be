"""Session commands, what a scale-down removes first, wanted replicas, and phases as shown."""

import json
from collections.abc import AsyncIterator

import pytest

from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.endpoints.routes import routes
from consumers.cli.endpoints.why import why
from consumers.cli.sessions.replicas import set_wanted
from consumers.cli.sessions.sessions import sessions
from consumers.cli.sessions.suggest_removal import suggest
from events import EventLog, HealthCheck
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of
from tests.support.histories import ROUTES, SESSIONS, E, created, observed, route_created, started
from tests.support.projectors import member
from tests.support.running_consumer import consuming, until_settled

S = str(SESSIONS[0])


@pytest.fixture
async def projected(log: EventLog) -> AsyncIterator[EventLog]:
    """Give an endpoint of a running and of a new route, and a projector."""
    async with consuming(member(log, ROUTE_TABLE)):
        await log.append(
            created(health_check=HealthCheck(path="/health")),
            route_created(0, session_id=SESSIONS[0]),
            started(0),
            observed("healthy", 0),
            route_created(1, session_id=SESSIONS[1]),
        )
        await until_settled(log, ROUTE_TABLE.name)
        yield log


async def last_event(log: EventLog) -> object:
    return [one.event async for one in log.read()][-1]


async def phases(run: Commands, log: EventLog) -> dict[str, str]:
    await until_settled(log, ROUTE_TABLE.name)
    shown = json.loads((await run(endpoints, "show", str(E), "-o", "json")).stdout)
    return {route["route_id"]: route["phase"] for route in shown["routes"]}


async def test_a_session_goes_through_its_life_by_commands(
    projected: EventLog, run: Commands
) -> None:
    new, old = str(ROUTES[1]), str(ROUTES[0])
    assert await phases(run, projected) == {old: "running", new: "provisioning"}
    at = ("--address", "10.0.0.7:8000", "--yes")
    assert end_of(await run(sessions, "running", str(SESSIONS[1]), *at)) == 0
    assert await phases(run, projected) == {old: "running", new: "warming_up"}
    drain = ("--reason", "scale down", "--drain-time", "5", "--yes")
    assert end_of(await run(sessions, "terminating", S, *drain)) == 0
    assert await phases(run, projected) == {old: "draining", new: "warming_up"}
    assert "scale down" in (await run(why, str(E))).stdout
    assert end_of(await run(sessions, "terminated", S, "--yes")) == 0
    assert await phases(run, projected) == {new: "warming_up"}
    failed = ("--error", "no GPU", "--endpoint", str(E), "--yes")
    assert end_of(await run(sessions, "cancelled", str(SESSIONS[1]), *failed)) == 0
    assert await phases(run, projected) == {new: "failed_to_start"}
    shown = json.loads((await run(endpoints, "show", str(E), "-o", "json")).stdout)
    assert (shown["retries"], shown["phase"]) == (1, "pending")


async def test_a_late_running_session_records_nothing(projected: EventLog, run: Commands) -> None:
    await run(sessions, "terminating", S, "--yes")
    await until_settled(projected, ROUTE_TABLE.name)
    before = await last_event(projected)
    late = await run(sessions, "running", S, "--yes")
    assert end_of(late) == 0
    assert "it is so already" in late.stderr
    assert await last_event(projected) == before


@pytest.mark.parametrize("known", [(), ("--endpoint", str(E))])
async def test_an_unknown_session_is_not_found(
    projected: EventLog, run: Commands, known: tuple[str, ...]
) -> None:
    nobody = "00000000-0000-0000-0000-0000000000ff"
    before = await last_event(projected)
    result = await run(sessions, "terminated", nobody, *known, "--yes")
    assert end_of(result) == 3
    assert nobody in f"{result.stderr}{result.exception}"
    assert await last_event(projected) == before


async def test_a_scale_down_is_suggested_and_records_nothing(
    projected: EventLog, run: Commands
) -> None:
    before = await last_event(projected)
    result = await run(suggest, str(E), "2", "-o", "json")
    assert [(row["route_id"], row["why"]) for row in json.loads(result.stdout)] == [
        (str(ROUTES[1]), "provisioning"),
        (str(ROUTES[0]), "healthy"),
    ]
    assert "provisioning" in (await run(suggest, str(E), "1")).stdout
    assert await last_event(projected) == before


async def test_wanted_replicas_are_recorded_once(projected: EventLog, run: Commands) -> None:
    assert end_of(await run(set_wanted, str(E), "3", "--yes")) == 0
    await until_settled(projected, ROUTE_TABLE.name)
    again = await run(set_wanted, str(E), "3", "--yes")
    assert "it is so already" in again.stderr
    shown = json.loads((await run(endpoints, "show", str(E), "-o", "json")).stdout)
    assert (shown["replicas"], shown["phase"]) == (3, "scaling")


async def test_a_terminated_route_says_why_and_how_long_it_drains(
    projected: EventLog, run: Commands
) -> None:
    options = ("--reason", "repair", "--drain-time", "7.5", "--yes")
    assert end_of(await run(routes, "terminate", str(E), str(ROUTES[0]), *options)) == 0
    event = await last_event(projected)
    assert (getattr(event, "reason", None), getattr(event, "drain_s", None)) == ("repair", 7.5)
