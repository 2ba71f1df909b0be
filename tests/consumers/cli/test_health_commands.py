"""What `routestream health` shows."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from consumers.cli.health.health import health
from events import (
    EndpointCreatedEvent,
    EndpointRouteListUpdatedEvent,
    EventLog,
    HealthCheck,
    ModelServiceStatusEvent,
    RouteRecord,
    open_log,
)
from events.archive import ArchiveSettings
from events.errors import InvalidPositionError
from events.history import history_window as log_window
from events.log.keys import partition_of
from projections.errors import NoLiveGenerationError
from projections.health_state.health_state import HEALTH_STATE
from projections.health_state.transitions import TRANSITIONS_MAX
from projections.projection import Projection
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of
from tests.events.support.archives import archive_in, trim
from tests.events.support.archives import run as archive_all

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
EMBED = UUID("e0bed000-0000-4000-8000-000000000002")
ROUTES = [UUID(f"{n:08x}-0000-4000-8000-000000000000") for n in range(1, 3)]


async def record(log: EventLog) -> None:
    """Record two routes: one becomes healthy, the other healthy and unhealthy."""
    check = HealthCheck(path="/up")
    routes = tuple(
        RouteRecord(route_id=one, kernel_host="10.0.0.1", kernel_port=8000, status="running")
        for one in ROUTES
    )
    await log.append(
        EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="llama-3", health_check=check),
        EndpointRouteListUpdatedEvent(endpoint_id=CHAT, routes=routes),
        EndpointCreatedEvent(endpoint_id=EMBED, name="embed", model="bge"),
    )
    for route_id, *statuses in ((ROUTES[0], "healthy"), (ROUTES[1], "healthy", "unhealthy")):
        for status in statuses:
            await log.append(
                ModelServiceStatusEvent(
                    endpoint_id=CHAT,
                    route_id=route_id,
                    new_status=status,  # type: ignore[arg-type]
                    reason="HTTP 503" if status == "unhealthy" else None,
                )
            )


async def go_live(log: EventLog, *projections: Projection[Any]) -> None:
    for projection in projections:
        await build(log, ReadModelStore(log.server, log.keys, projection, 0))


async def shown(run: Commands, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    result = await run(health, *arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def test_show_has_a_strip_for_each_route_and_what_it_is_now(
    log: EventLog, run: Commands
) -> None:
    await record(log)
    await go_live(log, ROUTE_TABLE, HEALTH_STATE)
    lines = await run.lines(health, "show", "chat")
    assert lines[0] == "endpoint  7ccd26ec chat"
    assert re.fullmatch(r"window  from \S+ \S+Z to \S+Z, \S+", lines[3])
    header, healthy, unhealthy = lines[5:8]
    assert header == "ROUTE  HISTORY  HEALTHY  CHANGES  NOW  SINCE  CHECKED  ADDRESS  BY  REASON"
    assert re.fullmatch(
        rf"{ROUTES[0]}  [█░▁]{{60}}  [\d.]+%  1  healthy  AGE  AGE  10.0.0.1:8000  ID", healthy
    )
    assert re.fullmatch(
        rf"{ROUTES[1]}  [█░▁]{{60}}  [\d.]+%  2  unhealthy  AGE  AGE  10.0.0.1:8000  ID  HTTP 503",
        unhealthy,
    )
    assert lines[-1].startswith("█ healthy  ▁ unhealthy")


async def test_json_has_the_intervals_and_the_entries_that_began_them(
    log: EventLog, run: Commands
) -> None:
    await record(log)
    await go_live(log, ROUTE_TABLE, HEALTH_STATE)
    told = await shown(run, "show", "chat")
    entries = [str(e.entry_id) async for chunk in log.read_entries(0) for e in chunk]
    first, second = told["routes"]
    assert (told["endpoint_id"], told["name"], told["is_whole"]) == (str(CHAT), "chat", True)
    assert (first["route_id"], first["health"], first["changes"]) == (str(ROUTES[0]), "healthy", 1)
    assert first["intervals"][-1]["by"] == entries[3]
    last = second["intervals"][-1]
    assert (last["health"], last["by"], last["reason"]) == ("unhealthy", entries[5], "HTTP 503")
    assert last["end"] == told["end"]
    appended_at = datetime.fromtimestamp(int(entries[5].split("-")[0]) / 1_000, UTC)
    assert datetime.fromisoformat(last["start"]) == appended_at
    assert 0 <= second["healthy_share"] <= 1


async def test_ls_lists_all_endpoints_with_one_strip_each(log: EventLog, run: Commands) -> None:
    await record(log)
    await go_live(log, ROUTE_TABLE, HEALTH_STATE)
    header, chat, embed, *_ = await run.lines(health, "ls")
    assert header == "ENDPOINT  NAME  HEALTHY  CHANGES  NOW  HISTORY"
    assert re.fullmatch(rf"{CHAT}  chat  [\d.]+%  3  1/2 healthy  [█░▄▁ ]{{60}}", chat)
    assert embed == f"{EMBED}  embed  0  no health check"
    assert [one["name"] for one in await shown(run, "ls")] == ["chat", "embed"]


async def test_ls_lists_as_many_as_asked_for_and_says_how_many_are_left(
    log: EventLog, run: Commands
) -> None:
    some = (EndpointCreatedEvent(endpoint_id=UUID(int=n), name="e", model="m") for n in (3, 1, 2))
    await log.append(*some)
    await go_live(log, ROUTE_TABLE, HEALTH_STATE)
    result = await run(health, "ls", "-n", "2", "-o", "jsonl")
    listed = [json.loads(line)["endpoint_id"] for line in result.stdout.splitlines()]
    assert listed == [str(UUID(int=1)), str(UUID(int=2))]
    assert result.stderr == "1 more endpoints: -n says how many are listed\n"
    assert (await run(health, "ls", "-n", "3", "-o", "jsonl")).stderr == ""


async def test_ls_needs_nothing_of_the_log(log: EventLog, run: Commands) -> None:
    await record(log)
    await go_live(log, ROUTE_TABLE, HEALTH_STATE)
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", 0)
    [chat, _] = await shown(run, "ls")
    assert [one["health"] for one in chat["routes"]] == ["healthy", "unhealthy"]
    assert [one["changes"] for one in chat["routes"]] == [1, 2]
    assert chat["routes"][1]["intervals"][-1]["reason"] == "HTTP 503"
    assert chat["is_whole"] is True


async def test_ls_says_of_which_endpoints_it_cannot_tell_the_whole_window(
    log: EventLog, run: Commands
) -> None:
    await record(log)
    for number in range(TRANSITIONS_MAX):
        await log.append(
            ModelServiceStatusEvent(
                endpoint_id=CHAT,
                route_id=ROUTES[0],
                new_status="healthy" if number % 2 else "unhealthy",
            )
        )
    await go_live(log, ROUTE_TABLE, HEALTH_STATE)
    result = await run(health, "ls")
    assert result.stderr.startswith("1 endpoint changed more often in the window than")
    assert [one["is_whole"] for one in await shown(run, "ls")] == [False, True]


async def test_ls_without_the_health_state_says_what_builds_it(
    log: EventLog, run: Commands
) -> None:
    await record(log)
    await go_live(log, ROUTE_TABLE)
    result = await run(health, "ls")
    assert isinstance(result.exception, NoLiveGenerationError)
    assert "routestream consume health-state" in str(result.exception)


async def test_ls_leaves_out_the_partition_whose_health_state_is_not_live(
    redis_url: str, namespace: str, run: Commands
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=2) as log:
        ids = sorted(uuid5(CHAT, str(number)) for number in range(8))
        for one in ids:
            await log.append(EndpointCreatedEvent(endpoint_id=one, name="e", model="m"))
        for partition in range(2):
            await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, partition))
        await build(log, ReadModelStore(log.server, log.keys, HEALTH_STATE, 1))
        there = [str(one) for one in ids if partition_of(one, 2) == 1]
    result = await run(health, "ls", "-o", "json")
    assert [one["endpoint_id"] for one in json.loads(result.stdout)] == there
    assert 0 < len(there) < len(ids)
    assert result.stderr == "partition 0 is left out: its health state is not live\n"


async def test_a_window_that_begins_late_knows_from_the_document_what_was_before(
    log: EventLog, run: Commands
) -> None:
    await record(log)
    await go_live(log, ROUTE_TABLE, HEALTH_STATE)
    entries = [e.entry_id async for chunk in log.read_entries(0) for e in chunk]
    told = await shown(run, "show", "chat", "--from", str(entries[-1].after()))
    assert [one["health"] for one in told["routes"]] == ["healthy", "unhealthy"]
    assert [len(one["intervals"]) for one in told["routes"]] == [1, 1]
    assert [one["healthy_share"] for one in told["routes"]] == [1.0, 0.0]
    assert {one["intervals"][0]["by"] for one in told["routes"]} == {None}


def intervals(shown: dict[str, Any]) -> list[list[tuple[str, str]]]:
    """Return how the health of each route was, one time after another, and by which event."""
    return [[(one["health"], one["by"]) for one in r["intervals"]] for r in shown["routes"]]


async def test_what_the_log_has_no_more_is_read_from_the_archive(
    log: EventLog, run: Commands, tmp_path: Path
) -> None:
    await record(log)
    await go_live(log, ROUTE_TABLE, HEALTH_STATE)
    before = await shown(run, "show", "chat")
    await archive_all(log, archive_in(tmp_path, log))
    await trim(log, str(await log.head(0)))

    late = await run(health, "show", "chat", "-o", "json")
    run.configure(archive=ArchiveSettings(location=str(tmp_path)))
    after = await shown(run, "show", "chat")

    began = intervals(before)
    assert began[1][-1][0] == "unhealthy"
    assert intervals(after) == began
    assert intervals(json.loads(late.stdout)) != began
    assert (after["start"], after["is_whole"]) == (before["start"], True)
    assert "partition 0: 5 entries" in late.stderr


async def test_without_the_health_state_it_is_said_that_the_time_before_is_unknown(
    log: EventLog, run: Commands
) -> None:
    await record(log)
    await go_live(log, ROUTE_TABLE)
    entries = [e.entry_id async for chunk in log.read_entries(0) for e in chunk]
    result = await run(health, "show", "chat", "--from", str(entries[4]))
    assert result.exit_code == 0
    assert "what was before the window is not known" in result.stderr
    assert (await shown(run, "show", "chat"))["routes"][1]["health"] == "unhealthy"


async def test_a_window_with_too_many_entries_is_cut_and_that_is_said(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(log)
    await go_live(log, ROUTE_TABLE, HEALTH_STATE)
    monkeypatch.setattr(log_window, "WINDOW_ENTRIES_MAX", 3)
    result = await run(health, "show", "chat")
    assert "the window begins later than --from" in result.stderr
    told = await shown(run, "show", "chat")
    entries = [str(e.entry_id) async for chunk in log.read_entries(0) for e in chunk]
    assert told["is_whole"] is False
    assert told["start"][-10:-6] == f".{entries[3].split('-')[0][-3:]}"


@pytest.mark.parametrize("since", ["end", "2999-01-01T00:00:00Z"])
async def test_a_window_that_begins_in_the_future_is_refused(
    log: EventLog, run: Commands, since: str
) -> None:
    await record(log)
    await go_live(log, ROUTE_TABLE)
    result = await run(health, "show", "chat", "--from", since)
    assert result.exit_code == 2


async def test_bad_arguments_are_named(log: EventLog, run: Commands) -> None:
    await record(log)
    await go_live(log, ROUTE_TABLE)
    assert end_of(await run(health, "show", "nobody")) == 3
    result = await run(health, "show", "chat", "--from", "yesterday")
    assert isinstance(result.exception, InvalidPositionError)


async def test_an_empty_read_model_has_no_health_to_show(log: EventLog, run: Commands) -> None:
    await go_live(log, ROUTE_TABLE, HEALTH_STATE)
    result = await run(health, "ls")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no endpoints\n")
    assert await shown(run, "ls") == []
