"""What `routestream replay`, `snapshot`, `endpoints why` and `events trace` do and print."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from click.testing import Result

from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.endpoints.trace import trace_events
from consumers.cli.endpoints.why import why
from consumers.cli.replay.past_states import diff, show
from consumers.cli.replay.rebuild import replay
from consumers.cli.replay.snapshot import snapshot
from consumers.cli.replay.verify import verify
from events import (
    EndpointCreatedEvent,
    EndpointRouteListUpdatedEvent,
    EntryId,
    EventLog,
    HealthCheck,
    ModelServiceStatusEvent,
    RouteRecord,
    RouteTrafficRatioUpdatedEvent,
)
from projections.errors import NoEventsError, NoSnapshotError, NothingKeptError
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings
from tests.consumers.support.commands import Commands, end_of
from tests.support.projectors import settled
from tests.support.read_model import live_documents, live_generation
from tests.support.running_consumer import documents

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
ROUTES = [UUID(f"{n:08x}-0000-4000-8000-000000000000") for n in range(1, 3)]


@pytest.fixture
def run(redis_url: str, namespace: str, tmp_path: Path) -> Commands:
    commands = Commands(redis_url, namespace)
    commands.configure(snapshots=SnapshotSettings(str(tmp_path)))
    return commands


def route(at: int) -> RouteRecord:
    return RouteRecord(
        route_id=ROUTES[at], kernel_host="10.0.0.1", kernel_port=8000 + at, status="running"
    )


@pytest.fixture
async def ids(log: EventLog) -> list[EntryId]:
    """An endpoint of two routes, one of which turned unhealthy; settled by a projector."""
    appended = await log.append(
        EndpointCreatedEvent(
            endpoint_id=CHAT, name="chat", model="llama-3", health_check=HealthCheck(path="/up")
        ),
        EndpointRouteListUpdatedEvent(endpoint_id=CHAT, routes=(route(0), route(1))),
        *(
            ModelServiceStatusEvent(endpoint_id=CHAT, route_id=one, new_status="healthy")
            for one in ROUTES
        ),
        RouteTrafficRatioUpdatedEvent(endpoint_id=CHAT, route_id=ROUTES[1], traffic_ratio=0.25),
        ModelServiceStatusEvent(
            endpoint_id=CHAT, route_id=ROUTES[1], new_status="unhealthy", reason="HTTP 503"
        ),
    )
    async with settled(log):
        pass
    return list(appended.entry_ids)


async def spoil(log: EventLog) -> None:
    """Make the live document say another address than its events do."""
    revision, right = (await documents(log, ROUTE_TABLE))[CHAT]
    wrong = ROUTE_TABLE.encode(right, revision).replace(b'"10.0.0.1"', b'"10.9.9.9"', 1)
    key = await live_documents(log, ROUTE_TABLE.name)
    await log.server.client.call("HSET", key, str(CHAT), wrong)


def lines_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("ids")
async def test_a_rebuild_tells_its_plan_first_and_then_what_is_live(
    log: EventLog, run: Commands
) -> None:
    before = await live_generation(log)
    result = await run(replay, "rebuild", "route-table", "--yes")
    assert result.exit_code == 0, result.output
    plan = result.stderr.splitlines()
    assert plan[0].startswith("partition 0: 6 entries up to ")
    assert "1 documents" in plan[0]
    assert plan[1] == f"partition 0, live generation: {before} -> a new one"
    header, row = result.stdout.splitlines()
    assert header.split() == [
        *("PARTITION", "BEFORE", "LIVE", "POSITION", "ENTRIES", "DOCUMENTS", "SWAP", "DIFFER")
    ]
    assert [*row.split()[:3], row.split()[-1]] == ["0", before, await live_generation(log), "0"]


@pytest.mark.usefixtures("ids")
async def test_nothing_is_rebuilt_unless_it_is_wanted(log: EventLog, run: Commands) -> None:
    before = await live_generation(log)
    result = await run(replay, "rebuild", "route-table")
    assert result.exit_code == 2
    assert "add --yes to do it" in result.stderr
    assert await live_generation(log) == before


async def test_a_program_hears_of_each_phase(run: Commands, ids: list[EntryId]) -> None:
    lines = lines_of(await run(replay, "rebuild", "route-table", "--yes", "-o", "jsonl"))
    assert [line["phase"] for line in lines] == ["fold", "write", "compare", "swap", "done"]
    assert lines[0].keys() >= {"percent", "position", "time", "per_second", "left_s"}
    assert lines[-1]["position"] == str(ids[-1])
    assert lines[-1]["comparison"]["differences"] == []


async def test_unknown_types_are_named_in_the_plan(
    log: EventLog, run: Commands, ids: list[EntryId]
) -> None:
    for _ in range(2):
        await log.server.client.call("XADD", log.keys.events(0), "*", "name", "not_ours")
    result = await run(replay, "rebuild", "route-table", "--yes")
    assert "not known here, left out: not_ours (2)" in result.stderr
    assert ids


@pytest.mark.usefixtures("ids")
async def test_a_rollback_takes_back_the_last_swap(log: EventLog, run: Commands) -> None:
    before = await live_generation(log)
    await run(replay, "rebuild", "route-table", "--yes")
    rebuilt = await live_generation(log)
    result = await run(replay, "rollback", "route-table", "--yes")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == f"partition 0, live generation: {rebuilt} -> {before}"
    assert await live_generation(log) == before != rebuilt


@pytest.mark.usefixtures("ids")
async def test_without_a_swap_there_is_nothing_to_roll_back(run: Commands) -> None:
    result = await run(replay, "rollback", "route-table", "--yes")
    assert isinstance(result.exception, NothingKeptError)


@pytest.mark.usefixtures("ids")
async def test_what_is_as_it_should_be_verifies(log: EventLog, run: Commands) -> None:
    live = await live_generation(log)
    for options in ((), ("--sample", "1"), ("--from-start",)):
        assert await run.lines(verify, "route-table", *options) == [
            "PARTITION  GENERATION  POSITION  ENDPOINTS  DIFFER  UNDECIDED",
            f"0  {live}  ID  1  0  0",
        ]


async def test_each_register_that_differs_is_told_with_the_event_that_set_it(
    log: EventLog, run: Commands, ids: list[EntryId]
) -> None:
    await spoil(log)
    result = await run(verify, "route-table")
    assert result.exit_code == 1
    row = result.stdout.splitlines()[1]
    assert row.split() == [
        *(str(CHAT), f"routes.{ROUTES[0]}.kernel_host", "10.9.9.9", "10.0.0.1"),
        *(str(ids[1]), "endpoint_route_list_updated"),
    ]
    result = await run(verify, "route-table", "-o", "json")
    assert result.exit_code == 1
    [told] = json.loads(result.stdout)
    [difference] = told["differences"]
    assert (difference["live"], difference["folded"]) == ("10.9.9.9", "10.0.0.1")
    assert difference["set_by"] == str(ids[1])


@pytest.mark.usefixtures("ids")
async def test_one_endpoint_is_mended(log: EventLog, run: Commands) -> None:
    await spoil(log)
    command = ("rebuild", "route-table", "--endpoint", str(CHAT), "--yes")
    result = await run(replay, *command)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("written as revision ")
    assert (await run(verify, "route-table")).exit_code == 0
    assert "nothing was written" in (await run(replay, *command)).stderr


@pytest.mark.usefixtures("ids")
async def test_an_endpoint_without_events_is_not_called_right(log: EventLog, run: Commands) -> None:
    stranger = str(uuid4())
    command = ("rebuild", "route-table", "--endpoint", stranger, "--yes")
    result = await run(replay, *command)
    assert isinstance(result.exception, NoEventsError)
    assert str(result.exception) == f"endpoint {stranger} has no events in the log"
    [(_, state)] = (await documents(log, ROUTE_TABLE)).values()
    document = ROUTE_TABLE.encode(msgspec.structs.replace(state, endpoint_id=UUID(stranger)), 7)
    await log.server.client.call(
        "HSET", await live_documents(log, "route-table"), stranger, document
    )
    told = str((await run(replay, *command)).exception)
    assert told.endswith("has no events in the log, but a document of revision 7")


async def test_where_nothing_was_ever_appended_nothing_is_built(
    log: EventLog, run: Commands
) -> None:
    result = await run(replay, "rebuild", "route-table", "--yes")
    assert result.exit_code == 3
    assert "has no entries: nothing to fold" in result.stderr
    assert await log.server.client.call("EXISTS", log.keys.live(0, "route-table")) == 0


async def test_as_of_shows_what_was_routed_then(run: Commands, ids: list[EntryId]) -> None:
    assert await run.lines(endpoints, "ls", "--as-of", str(ids[3])) == [
        "ENDPOINT  NAME  MODEL  PHASE  ROUTES  HEALTH  TRAFFIC  CHANGED",
        f"{CHAT}  chat  llama-3  ready  2/2  2 healthy  2 x 50%  AGE",
    ]
    for named in ("chat", "7ccd", str(CHAT)):
        result = await run(endpoints, "show", named, "--as-of", str(ids[3]), "-o", "json")
        shown = json.loads(result.stdout)
        assert shown["version"] == str(ids[3])
        assert [one["routable"] for one in shown["routes"]] == [True, True]
    [now] = lines_of(await run(show, "--as-of", "end", "-o", "jsonl"))
    assert [one["routable"] for one in now["routes"]] == [True, False]
    assert end_of(await run(endpoints, "show", "chat", "--as-of", "start")) == 3
    [health] = lines_of(
        await run(show, "--projection", "health-state", "--as-of", str(ids[3]), "-o", "jsonl")
    )
    assert {one["health"] for one in health["routes"]} == {"healthy"}


async def test_a_diff_names_what_changed_and_the_event_that_did_it(
    run: Commands, ids: list[EntryId]
) -> None:
    between = ("--from", str(ids[3]), "--to", str(ids[5]))
    assert await run.lines(diff, *between) == [
        "ENDPOINT  CHANGED  BY  EVENT",
        "7ccd26ec  route 00000002 traffic ratio: 1.0 -> 0.25  ID  route_traffic_ratio_updated",
        "7ccd26ec  route 00000002 health: healthy -> unhealthy  ID  model_service_status_updated",
        (
            "7ccd26ec  route 00000002 health reason: none -> HTTP 503  ID"
            "  model_service_status_updated"
        ),
    ]
    [told] = lines_of(await run(diff, *between, "-o", "jsonl"))
    assert {one["by"] for one in told["changes"]} == {str(ids[4]), str(ids[5])}


@pytest.mark.parametrize("command", [(diff,), (trace_events, "chat")], ids=["diff", "trace"])
async def test_a_range_that_ends_before_it_starts_is_refused(
    run: Commands, ids: list[EntryId], command: tuple[Any, ...]
) -> None:
    refused = await run(*command, "--from", str(ids[5]), "--to", str(ids[3]))
    assert end_of(refused) == 2
    assert f"it ends at {ids[3]}, before it starts at {ids[5]}" in str(refused.exception)


async def test_what_was_said_again_did_not_change(
    log: EventLog, run: Commands, ids: list[EntryId]
) -> None:
    again = RouteTrafficRatioUpdatedEvent(endpoint_id=CHAT, route_id=ROUTES[1], traffic_ratio=0.25)
    await log.append(again)
    for form in ("table", "jsonl"):
        result = await run(diff, "--from", str(ids[-1]), "--to", "end", "-o", form)
        assert (result.exit_code, result.stdout) == (0, "")


async def test_why_gives_the_chain_of_events_behind_what_is_routed(
    run: Commands, ids: list[EntryId]
) -> None:
    lines = await run.lines(why, "chat")
    assert [line for line in lines if "  traffic  " in line] == [
        (
            "route 00000001  traffic  100%  AGE  ID  model_service_status_updated 00000001 healthy"
            "  test"
        ),
        (
            "route 00000002  traffic  no: unhealthy  AGE  ID  model_service_status_updated 00000002"
            " unhealthy: HTTP 503  test"
        ),
    ]
    told = {one["register"]: one for one in lines_of(await run(why, "chat", "-o", "jsonl"))}
    weight = told[f"routes.{ROUTES[1]}.traffic_ratio"]
    assert (weight["value"], weight["by"]) == (0.25, str(ids[4]))
    assert weight["event"] == "route_traffic_ratio_updated"


async def test_a_trace_shows_what_each_event_changed(run: Commands, ids: list[EntryId]) -> None:
    lines = await run.lines(trace_events, "chat", "--from", str(ids[4]))
    assert lines == [
        "TIME  ENTRY  EVENT  CHANGE  SOURCE",
        "TIME  ID  route_traffic_ratio_updated  route 00000002 traffic ratio: 1.0 -> 0.25  test",
        (
            "TIME  ID  model_service_status_updated  route 00000002 health: healthy -> unhealthy;"
            " route 00000002 health reason: none -> HTTP 503  test"
        ),
    ]
    told = lines_of(await run(trace_events, str(CHAT), "-o", "jsonl"))
    assert [one["entry_id"] for one in told] == list(map(str, ids))


@pytest.mark.usefixtures("ids")
async def test_a_trace_of_a_trimmed_log_says_what_is_not_known_and_goes_on_from_a_snapshot(
    log: EventLog, run: Commands
) -> None:
    await run(snapshot, "take", "route-table")
    event = RouteTrafficRatioUpdatedEvent(endpoint_id=CHAT, route_id=ROUTES[1], traffic_ratio=0.5)
    [last] = (await log.append(event)).entry_ids
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(last))
    whole = await run(trace_events, str(CHAT))
    assert whole.stderr.startswith(f"what happened before {last} was trimmed and is in no archive")
    assert "0.25" not in whole.stdout
    since = await run(trace_events, str(CHAT), "--from", str(last))
    assert since.stderr == ""
    assert "traffic ratio: 0.25 -> 0.5" in since.stdout


async def test_a_snapshot_is_taken_listed_and_restored(
    log: EventLog, run: Commands, ids: list[EntryId]
) -> None:
    [taken] = lines_of(await run(snapshot, "take", "route-table", "-o", "jsonl"))
    assert (taken["position"], taken["verified"]) == (str(ids[-1]), True)
    [listed] = lines_of(await run(snapshot, "ls", "-o", "jsonl"))
    assert listed.pop("problem") is None
    assert listed.items() <= taken.items()
    await spoil(log)
    result = await run(snapshot, "restore", "route-table", "--yes", "-o", "jsonl")
    [done] = lines_of(result)
    assert done["entries"] == 0
    assert [one["register"] for one in done["comparison"]["differences"]] == [
        f"routes.{ROUTES[0]}.kernel_host"
    ]
    assert (await run(verify, "route-table")).exit_code == 0


@pytest.mark.usefixtures("ids")
async def test_a_snapshot_whose_file_is_gone_is_listed_as_such(
    log: EventLog, run: Commands, tmp_path: Path
) -> None:
    [taken] = lines_of(await run(snapshot, "take", "route-table", "-o", "jsonl"))
    assert (await run(snapshot, "ls")).stdout.splitlines()[1].endswith("ok")
    (tmp_path / log.keys.namespace / "0" / taken["file"]).unlink()

    assert (await run(snapshot, "ls")).stdout.splitlines()[1].endswith("the file is missing")
    [listed] = lines_of(await run(snapshot, "ls", "-o", "jsonl"))
    assert listed["problem"] == "the file is missing"


async def test_taking_a_snapshot_deletes_the_old_ones_if_told_how_many_to_keep(
    log: EventLog, run: Commands, ids: list[EntryId]
) -> None:
    await run(snapshot, "take", "route-table")
    event = RouteTrafficRatioUpdatedEvent(endpoint_id=CHAT, route_id=ROUTES[0], traffic_ratio=0.5)
    [last] = (await log.append(event)).entry_ids
    async with settled(log):
        pass
    result = await run(snapshot, "take", "route-table", "--keep", "1")
    assert "deleted " in result.stderr
    assert f"route-table-v1-{ids[-1]}.jsonl.zst" in result.stderr
    [left] = lines_of(await run(snapshot, "ls", "-o", "jsonl"))
    assert left["position"] == str(last)


@pytest.mark.usefixtures("ids")
async def test_what_differs_makes_taking_a_snapshot_fail(log: EventLog, run: Commands) -> None:
    await spoil(log)
    result = await run(snapshot, "take", "route-table")
    assert result.exit_code == 1
    assert "no: it differs from what is live" in result.stdout


@pytest.mark.usefixtures("ids")
async def test_there_is_nothing_to_restore_where_nothing_was_taken(run: Commands) -> None:
    result = await run(snapshot, "restore", "route-table", "--yes")
    assert isinstance(result.exception, NoSnapshotError)
    assert (await run(snapshot, "ls")).stderr.startswith("no snapshots in ")


@pytest.mark.usefixtures("ids")
async def test_what_cannot_be_compared_is_not_verified(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("consumers.cli.replay.verify", "projections.snapshots.snapshot_store"):
        monkeypatch.setattr(f"{module}.PATIENCE_S", 0.2)
    await log.append(
        RouteTrafficRatioUpdatedEvent(endpoint_id=CHAT, route_id=ROUTES[0], traffic_ratio=0.5)
    )
    result = await run(verify, "route-table")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].split()[-3:] == ["1", "0", "1"]
    taken = json.loads((await run(snapshot, "take", "route-table", "-o", "jsonl")).stdout)
    assert taken["verified"] is None
    assert result.stderr == (
        f"endpoint {CHAT} was not compared: events of it were not settled in time\n"
        "1 undecided in partition 0: group route-table did not settle their events within 0 s;"
        " see `routestream groups show route-table`\n"
    )
