"""What `events range`, `grep`, `stats` and `tail --where` find in the log."""

import json
from uuid import UUID

import pytest

from consumers.cli.events import stats as statistics_module
from consumers.cli.events.stats import bar
from consumers.cli.events.tail import events
from consumers.cli.events.text_search import SearchError
from events import (
    EndpointCreatedEvent,
    EndpointRouteListUpdatedEvent,
    EventLog,
    ModelServiceStatusEvent,
    RouteFailedEvent,
    open_log,
)
from events.errors import InvalidExpressionError, InvalidPositionError
from events.history import history as history_module
from events.history import tail as tail_module
from tests.consumers.support.commands import Commands
from tests.consumers.support.terminal import environment_of, in_shell, in_terminal

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
EMBED = UUID("e0bed000-0000-4000-8000-000000000002")
ROUTE = UUID("1b2c3d4e-0000-4000-8000-000000000003")


async def fill(log: EventLog) -> None:
    status = ModelServiceStatusEvent(endpoint_id=CHAT, route_id=ROUTE, new_status="unhealthy")
    await log.append(
        EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="llama-3"),
        EndpointRouteListUpdatedEvent(endpoint_id=CHAT, routes=()),
        status,
        EndpointRouteListUpdatedEvent(endpoint_id=EMBED, routes=()),
        RouteFailedEvent(endpoint_id=CHAT, route_id=ROUTE, errors=("CUDA out of memory",)),
    )


async def names(run: Commands, *arguments: str) -> list[str]:
    result = await run(events, *arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    return [one.get("name", "?") for one in json.loads(result.stdout)]


async def test_a_condition_chooses_by_what_the_event_says(log: EventLog, run: Commands) -> None:
    await fill(log)
    where = ("tail", "--where")
    assert await names(run, *where, 'payload.new_status == "unhealthy"') == [
        "model_service_status_updated"
    ]
    assert await names(run, *where, '"CUDA" in payload.errors[0]') == ["route_failed"]
    assert await names(run, *where, 'type in ("endpoint_created", "route_failed")') == [
        *("endpoint_created", "route_failed")
    ]
    assert await names(run, *where, f'endpoint == "{EMBED}" and source == "test"') == [
        "endpoint_route_list_updated"
    ]
    assert len(await names(run, *where, 'time > "2020-01-01T00:00:00Z"')) == 5
    assert await names(run, *where, "problem") == []
    with_type = ("--type", "endpoint_*", "--source", "te*", "--endpoint", "7ccd")
    assert await names(run, *where, "version in (1, 3)", *with_type) == [
        *("endpoint_created", "endpoint_route_list_updated")
    ]
    assert await names(run, *where, "version == 3", *with_type) == ["endpoint_created"]
    assert await names(run, "tail", "--source", "manager") == []


async def test_a_condition_that_cannot_be_read_is_refused_with_its_place(run: Commands) -> None:
    result = await run(events, "tail", "--where", "payload.x = 1")
    assert isinstance(result.exception, InvalidExpressionError)
    assert "character 11: invalid syntax; a condition is written" in str(result.exception)


async def test_a_range_has_both_its_ends(log: EventLog, run: Commands) -> None:
    stream = log.keys.events(0)
    for ms in range(1, 8):
        await log.server.client.call("XADD", stream, f"{ms}-0", "name", "told_later")

    async def ids(*arguments: str) -> list[str]:
        result = await run(events, "range", *arguments, "-o", "jsonl")
        assert result.exit_code == 0, result.output
        return [json.loads(line)["entry_id"] for line in result.stdout.splitlines()]

    assert await ids("3-0..5-0") == ["3-0", "4-0", "5-0"]
    assert await ids("..2-0") == ["1-0", "2-0"]
    assert await ids("6-0..") == await ids("6-0") == await ids("6-0..end") == ["6-0", "7-0"]
    assert await ids("1970-01-01T00:00:00.002Z..1970-01-01T00:00:00.003Z") == ["2-0", "3-0"]
    assert await ids("start..", "-n", "2") == ["1-0", "2-0"]
    assert await ids("-2h..-1h") == []


async def test_spans_that_begin_with_a_minus_are_no_options(log: EventLog, run: Commands) -> None:
    await fill(log)
    assert len(await names(run, "range", "-1h..")) == 5
    assert len(await names(run, "range", "-n", "1", "-1h")) == 1
    assert (await run(events, "range", "-x")).exit_code == 2
    assert "-2h" in (await run(events, "range", "--help")).stdout


@pytest.mark.parametrize("span", ["2-0..1-0", "yesterday..", "1-0...2-0", "1-0..2-0..3-0"])
async def test_a_range_that_is_none_is_refused(run: Commands, span: str) -> None:
    result = await run(events, "range", span)
    assert isinstance(result.exception, InvalidPositionError)


@pytest.mark.parametrize("command", [("tail",), ("range", "-1h.."), ("stats",), ("grep", "x")])
async def test_without_a_log_a_note_says_that_there_is_none(
    log: EventLog, run: Commands, command: tuple[str, ...]
) -> None:
    assert "no log" not in (await run(events, *command)).stderr
    await log.server.client.call("DEL", log.keys.layout, log.keys.identity(0))
    result = await run(events, *command)
    assert result.stderr.startswith(f"there is no log {log.keys.namespace!r} on ")
    assert result.stderr.endswith("\nno events\n")
    await log.append(EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="llama-3"))
    await log.server.client.call("HSET", log.keys.layout, "partitions", 1)
    assert "no log" not in (await run(events, *command)).stderr


async def test_grep_finds_a_text_in_names_and_values(log: EventLog, run: Commands) -> None:
    await fill(log)
    await log.server.client.call("XADD", log.keys.events(0), "*", "odd", b"\xffCUDA")
    assert await names(run, "grep", "CUDA") == ["route_failed", "?"]
    assert await names(run, "grep", "cuda", "-i", "-n", "1") == ["?"]
    assert await names(run, "grep", "out .* mem", "-E") == ["route_failed"]
    assert await names(run, "grep", "CUDA", "-1h..", "-n", "1") == ["route_failed"]
    assert await names(run, "grep", "llama", "--type", "endpoint_*") == ["endpoint_created"]
    assert await names(run, "grep", "\\xff") == ["?"]
    nothing = await run(events, "grep", "cuda")
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (1, "", "no events\n")


async def test_grep_looks_through_a_bounded_part_and_says_so(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(log)
    monkeypatch.setattr(tail_module, "SEARCHED_MAX", 2)
    monkeypatch.setattr(tail_module, "READ_COUNT", 2)
    monkeypatch.setattr(history_module, "READ_COUNT", 2)
    result = await run(events, "grep", "llama", "-n", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "back to" in result.stderr
    assert await names(run, "grep", "llama", "start..") == ["endpoint_created"]


@pytest.mark.parametrize(
    "arguments",
    [("(",), ("(" * 300,), ("a{99999999999999}",), ("x" * 201,), ("",)],
)
async def test_a_pattern_that_cannot_be_searched_for_is_refused(
    run: Commands, arguments: tuple[str, ...]
) -> None:
    result = await run(events, "grep", "-E", *arguments)
    assert isinstance(result.exception, SearchError)


async def test_a_regular_expression_without_an_end_is_ended(
    log: EventLog, redis_url: str, namespace: str
) -> None:
    await log.server.client.call("XADD", log.keys.events(0), "*", "1", "a" * 60 + "!")
    environment = environment_of(redis_url, namespace)
    done = await in_shell("routestream events grep -E '(a+)+$'; echo $?", environment)
    assert done.stdout == "2\n"
    assert "takes longer than 1 s" in done.stderr


async def counted(run: Commands, *arguments: str) -> dict[str, int]:
    result = await run(events, "stats", *arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    return {one["key"]: one["count"] for one in json.loads(result.stdout)}


async def test_stats_count_by_type_endpoint_source_and_minute(log: EventLog, run: Commands) -> None:
    await fill(log)
    await log.server.client.call("XADD", log.keys.events(0), "*", "odd", "x")
    assert list((await counted(run)).items()) == [
        ("endpoint_route_list_updated", 2),
        ("(none)", 1),
        ("endpoint_created", 1),
        ("model_service_status_updated", 1),
        ("route_failed", 1),
    ]
    assert await counted(run, "--by", "endpoint") == {str(CHAT): 4, str(EMBED): 1, "(none)": 1}
    assert await counted(run, "--by", "source") == {"test": 5, "(none)": 1}
    assert sum((await counted(run, "--by", "minute")).values()) == 6
    assert await counted(run, "-1h..", "--type", "route_*") == {"route_failed": 1}


async def test_minutes_without_entries_are_told_too(log: EventLog, run: Commands) -> None:
    for ms in (0, 59_999, 60_000, 240_000):
        await log.server.client.call("XADD", log.keys.events(0), f"{ms}-1", "name", "x")
    assert await run.lines(events, "stats", "--by", "minute") == [
        "MINUTE  COUNT  SHARE",
        f"1970-01-01T00:00Z  2  50.0%  {'█' * 43}",
        f"1970-01-01T00:01Z  1  25.0%  {'█' * 21}▌",
        "1970-01-01T00:02Z  0  0.0%",
        "1970-01-01T00:03Z  0  0.0%",
        f"1970-01-01T00:04Z  1  25.0%  {'█' * 21}▌",
    ]


async def test_stats_count_the_newest_and_say_so(
    redis_url: str, namespace: str, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics_module, "COUNTED_MAX", 3)
    async with open_log(redis_url, namespace=namespace, partitions=2) as log:
        for ms in range(1, 11):
            name = "late" if ms > 8 else "early"
            stream = log.keys.events(ms % 2)
            await log.server.client.call("XADD", stream, f"{ms}-0", "name", name)
    result = await run(events, "stats", "-o", "json")
    assert {one["key"]: one["count"] for one in json.loads(result.stdout)} == {
        "early": 4,
        "late": 2,
    }
    assert "start.. counts all" in result.stderr
    assert await counted(run, "start..") == {"early": 8, "late": 2}
    assert await counted(run, "9-0..") == {"late": 2}


@pytest.mark.parametrize("columns", [80, 200])
async def test_bars_fit_the_terminal(
    log: EventLog, redis_url: str, namespace: str, columns: int
) -> None:
    await fill(log)
    drawn = await in_terminal(["events", "stats"], environment_of(redis_url, namespace), columns)
    assert "█" in drawn
    assert len(drawn.splitlines()) == 5


def test_a_bar_is_as_long_as_its_number() -> None:
    assert [bar(value, 8, 2) for value in (8, 4, 1, 0)] == ["██", "█", "▎", ""]
    assert bar(1, 1_000_000, 10) == "▏"
