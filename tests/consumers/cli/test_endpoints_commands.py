"""What `routestream endpoints` shows of the route table."""

import json
from typing import Any
from uuid import UUID

import pytest

from consumers.cli.endpoints.endpoints import endpoints
from events import (
    EndpointCreatedEvent,
    EndpointDestroyedEvent,
    EndpointHealthCheckUpdatedEvent,
    EndpointRouteListUpdatedEvent,
    EventLog,
    HealthCheck,
    ModelServiceStatusEvent,
    RouteCreatedEvent,
    RouteFailedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
    open_log,
)
from projections.errors import AmbiguousEndpointError, EndpointNotFoundError, NoLiveGenerationError
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.lookup import find_endpoint, read_endpoint
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
EMBED = UUID("e0bed000-0000-4000-8000-000000000002")
GONE = UUID("90000000-0000-4000-8000-000000000003")
ROUTES = [UUID(f"{n:08x}-0000-4000-8000-000000000000") for n in range(1, 7)]
STATUS, GOING, RATIO, CREATED = (
    f"ID {name}"
    for name in (
        "model_service_status_updated",
        "route_terminating",
        "route_traffic_ratio_updated",
        "route_created",
    )
)


async def go_live(log: EventLog) -> None:
    for partition in range(log.partitions):
        await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, partition))


async def fill(log: EventLog) -> None:
    """Record an endpoint with a route for each reason to get no traffic, and two that do."""
    healthy, also_healthy, unhealthy, terminating, weightless, unstarted = ROUTES
    listed = tuple(map(running, ROUTES[:5], (0.75, 0.25, 0.5, 1.0, 1.0)))
    check = HealthCheck(path="/up", interval=5)
    await log.append(
        EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="llama-3", health_check=check),
        EndpointRouteListUpdatedEvent(endpoint_id=CHAT, routes=listed),
        *(
            ModelServiceStatusEvent(endpoint_id=CHAT, route_id=route_id, new_status="healthy")
            for route_id in (healthy, also_healthy, weightless)
        ),
        ModelServiceStatusEvent(
            endpoint_id=CHAT,
            route_id=unhealthy,
            new_status="unhealthy",
            reason="HTTP 503",
            consecutive_failures=10,
        ),
        RouteTerminatingEvent(endpoint_id=CHAT, route_id=terminating),
        RouteTrafficRatioUpdatedEvent(endpoint_id=CHAT, route_id=weightless, traffic_ratio=0),
        RouteCreatedEvent(endpoint_id=CHAT, route=RouteRecord(route_id=unstarted)),
    )
    await log.append(
        EndpointCreatedEvent(endpoint_id=EMBED, name="embed", model="bge"),
        EndpointCreatedEvent(endpoint_id=GONE, name="gone", model="bert"),
        EndpointDestroyedEvent(endpoint_id=GONE),
    )


def running(route_id: UUID, traffic_ratio: float) -> RouteRecord:
    return RouteRecord(
        route_id=route_id,
        kernel_host="10.0.0.1",
        kernel_port=8000 + ROUTES.index(route_id),
        status="running",
        traffic_ratio=traffic_ratio,
    )


async def shown(run: Commands, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    result = await run(endpoints, *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def test_ls_says_which_part_of_the_routes_gets_traffic(log: EventLog, run: Commands) -> None:
    await fill(log)
    await go_live(log)
    assert await run.lines(endpoints, "ls") == [
        "ENDPOINT  NAME  MODEL  PHASE  ROUTES  HEALTH  TRAFFIC  CHANGED",
        (
            f"{CHAT}  chat  llama-3  scaling  2/6  3 healthy, 1 unhealthy, 2 not checked  75%, 25%"
            "  AGE"
        ),
        f"{EMBED}  embed  bge  pending  0/0  no health check  none  AGE",
    ]


async def test_destroyed_endpoints_are_listed_only_when_asked_for(
    log: EventLog, run: Commands
) -> None:
    await fill(log)
    await go_live(log)
    lines = await run.lines(endpoints, "ls", "--all")
    assert f"{GONE}  gone  bert  destroyed  AGE" in lines
    listed = await shown(run, "ls", "--all", "-o", "json")
    assert [one["name"] for one in listed] == ["chat", "gone", "embed"]
    assert [one["destroyed_at"] is None for one in listed] == [True, False, True]


async def test_json_has_the_whole_document_with_stamps_as_entry_ids(
    log: EventLog, run: Commands
) -> None:
    await fill(log)
    await go_live(log)
    [chat, embed] = await shown(run, "ls", "-o", "json")
    entries = [str(e.entry_id) async for chunk in log.read_entries(0) for e in chunk]
    assert (chat["endpoint_id"], chat["version"], chat["revision"]) == (str(CHAT), entries[8], 1)
    assert (chat["created_at"], chat["list_at"], chat["destroyed_at"]) == (*entries[:2], None)
    assert chat["health_check"] == {
        "path": "/up",
        "interval": 5.0,
        "max_retries": 10,
        "max_wait_time": 15.0,
        "expected_status_code": 200,
    }
    assert [route["routable"] for route in chat["routes"]] == [True, True, *[False] * 4]
    assert [route["share"] for route in chat["routes"]] == [0.75, 0.25, *[0] * 4]
    assert [route["why_not"] for route in chat["routes"]][3:] == [
        *("terminating", "weight 0", "no address")
    ]
    assert [route["decided_at"] for route in chat["routes"]][4:] == entries[7:9]
    nobody = {"group": "route-table", "head": entries[-1], "unfolded": None, "behind_s": None}
    assert chat["knowledge"] == nobody
    unhealthy, unstarted = chat["routes"][2], chat["routes"][5]
    assert (unhealthy["health"], unhealthy["health_reason"]) == ("unhealthy", "HTTP 503")
    assert (unhealthy["health_at"], unhealthy["status_at"]) == (entries[5], entries[1])
    assert (unstarted["health"], unstarted["health_at"]) == ("not_checked", None)
    assert (embed["health_check"], embed["routes"]) == (None, [])
    assert await shown(run, "show", "chat", "-o", "json") == chat
    lines = (await run(endpoints, "ls", "-o", "jsonl")).stdout.splitlines()
    assert [json.loads(line) for line in lines] == [chat, embed]


async def test_an_initial_delay_that_was_given_is_printed(log: EventLog, run: Commands) -> None:
    check = HealthCheck(path="/up", initial_delay=0)
    await log.append(EndpointHealthCheckUpdatedEvent(endpoint_id=CHAT, health_check=check))
    await go_live(log)
    [chat] = await shown(run, "ls", "-o", "json")
    assert chat["health_check"]["initial_delay"] == 0


async def test_show_says_of_each_route_whether_it_gets_traffic_and_why_not(
    log: EventLog, run: Commands
) -> None:
    await fill(log)
    await go_live(log)
    lines = await run.lines(endpoints, "show", "chat")
    assert lines[:3] == [f"endpoint  {CHAT}", "name  chat", "model  llama-3"]
    assert lines[lines.index("") + 1 :] == [
        "ROUTE  ADDRESS  PHASE  SINCE  HEALTH  SINCE  CHECKED  WEIGHT  TRAFFIC  BY",
        f"{ROUTES[0]}  10.0.0.1:8000  running  AGE  healthy  AGE  AGE  75%  yes  {STATUS}",
        f"{ROUTES[1]}  10.0.0.1:8001  running  AGE  healthy  AGE  AGE  25%  yes  {STATUS}",
        (
            f"{ROUTES[2]}  10.0.0.1:8002  running  AGE  unhealthy  AGE  AGE  (0.5)  no: unhealthy "
            f" {STATUS}"
        ),
        f"{ROUTES[3]}  10.0.0.1:8003  draining  AGE  not checked  (1)  no: terminating  {GOING}",
        f"{ROUTES[4]}  10.0.0.1:8004  running  AGE  healthy  AGE  AGE  (0)  no: weight 0  {RATIO}",
        f"{ROUTES[5]}  none  provisioning  AGE  not checked  (1)  no: no address  {CREATED}",
        "",
        "00000003 unhealthy after 10 failures in a row: HTTP 503",
    ]


async def test_show_names_the_entry_that_decided_about_each_route(
    log: EventLog, run: Commands
) -> None:
    await fill(log)
    await go_live(log)
    entries = [str(e.entry_id) async for chunk in log.read_entries(0) for e in chunk]
    rows = (await run(endpoints, "show", "chat")).stdout.splitlines()
    deciding = [row.split()[-2] for row in rows if row[:8] in {str(r)[:8] for r in ROUTES}]
    healthy, also_healthy, _, unhealthy, terminating, weight, created = entries[2:9]
    assert deciding[:6] == [healthy, also_healthy, unhealthy, terminating, weight, created]


async def test_show_tells_what_failed_and_what_no_list_names(log: EventLog, run: Commands) -> None:
    await log.append(
        EndpointRouteListUpdatedEvent(endpoint_id=CHAT, routes=(RouteRecord(route_id=ROUTES[0]),)),
        RouteFailedEvent(endpoint_id=CHAT, route_id=ROUTES[0], errors=("no \x1b[31mGPU",)),
        RouteStartedEvent(
            endpoint_id=CHAT, route_id=ROUTES[1], kernel_host="::1", kernel_port=8000
        ),
    )
    await go_live(log)
    assert (await run.lines(endpoints, "show", "7ccd"))[-2:] == [
        "00000001 failed: no \\x1b[31mGPU",
        "1 more heard of, but never created and in no list of routes",
    ]


async def test_a_destroyed_endpoint_is_shown_as_such(log: EventLog, run: Commands) -> None:
    await fill(log)
    await go_live(log)
    assert "destroyed  AGE, by ID" in await run.lines(endpoints, "show", "gone")


async def test_names_from_outside_cannot_steer_the_terminal(log: EventLog, run: Commands) -> None:
    event = EndpointCreatedEvent(endpoint_id=CHAT, name="[red]\x1b[2J", model="a\nb :smile:")
    await log.append(event)
    await go_live(log)
    assert "[red]\\x1b[2J  a\\nb :smile:" in (await run.lines(endpoints, "ls"))[1]


async def test_without_a_live_read_model_it_is_said_how_to_get_one(run: Commands) -> None:
    for arguments in (("ls",), ("show", "chat"), ("show", str(CHAT))):
        result = await run(endpoints, *arguments)
        assert isinstance(result.exception, NoLiveGenerationError)
        assert "consume route-table" in str(result.exception)


async def test_a_live_read_model_without_endpoints_is_an_empty_list(
    log: EventLog, run: Commands
) -> None:
    await go_live(log)
    result = await run(endpoints, "ls")
    assert (result.stdout, result.stderr) == ("", "no endpoints\n")
    assert await shown(run, "ls", "-o", "json") == []


async def test_endpoints_of_all_partitions_are_listed_by_their_ids(
    redis_url: str, namespace: str, run: Commands
) -> None:
    ids = [UUID(int=number) for number in range(8)]
    async with open_log(redis_url, namespace=namespace, partitions=3) as log:
        await log.append(
            *(EndpointCreatedEvent(endpoint_id=one, name="same", model="m") for one in ids)
        )
        await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0))
        result = await run(endpoints, "ls", "-o", "json")
        assert 0 < len(json.loads(result.stdout)) < 8
        assert "partition 1 is left out" in result.stderr
        left_out: list[int] = []
        with pytest.raises(EndpointNotFoundError):
            await find_endpoint(log, "nobody", left_out.append)
        assert left_out == [1, 2]
        await go_live(log)
        listed = await shown(run, "ls", "-o", "json")
        assert [one["endpoint_id"] for one in listed] == [str(one) for one in ids]


async def test_an_endpoint_is_found_by_its_id_its_beginning_and_its_name(log: EventLog) -> None:
    await fill(log)
    await go_live(log)
    for named in (str(CHAT), CHAT.hex, "7ccd", "7CCD26EC-0000", "chat"):
        assert (await read_endpoint(log, named))[1].endpoint_id == CHAT
        assert await find_endpoint(log, named) == CHAT
    for unknown in ("7cc", "cha", "7ccd26ed", ""):
        with pytest.raises(EndpointNotFoundError):
            await find_endpoint(log, unknown)
    with pytest.raises(EndpointNotFoundError):
        await read_endpoint(log, str(ROUTES[0]))


async def test_a_whole_id_needs_no_read_model_to_be_taken(log: EventLog) -> None:
    assert await find_endpoint(log, str(CHAT)) == CHAT


async def test_a_name_of_several_endpoints_is_refused_with_five_of_them(log: EventLog) -> None:
    ids = [UUID(int=number) for number in range(7)]
    await log.append(
        *(EndpointCreatedEvent(endpoint_id=one, name="same", model="m") for one in ids)
    )
    await go_live(log)
    with pytest.raises(AmbiguousEndpointError) as refused:
        await find_endpoint(log, "same")
    assert all(str(one) in str(refused.value) for one in ids[:5])
    assert "and 2 more" in str(refused.value)


async def test_a_name_of_no_endpoint_and_one_of_several_end_a_command_with_their_exit_codes(
    log: EventLog, run: Commands
) -> None:
    await log.append(
        *(EndpointCreatedEvent(endpoint_id=UUID(int=n), name="same", model="m") for n in range(2))
    )
    await go_live(log)
    assert end_of(await run(endpoints, "show", "nobody")) == 3
    assert end_of(await run(endpoints, "show", "same")) == 2
    assert "2 endpoints have the name 'same': only their ids" in (await run(endpoints, "ls")).stderr


async def test_the_name_of_a_destroyed_endpoint_is_free_for_another(log: EventLog) -> None:
    await log.append(
        EndpointCreatedEvent(endpoint_id=GONE, name="chat", model="m"),
        EndpointDestroyedEvent(endpoint_id=GONE),
        EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="m"),
    )
    await go_live(log)
    assert await find_endpoint(log, "chat") == CHAT
