"""What `routestream events` and `routestream streams` show of the log."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.to_thread import run_sync

from consumers.cli.events.tail import events
from consumers.cli.streams.streams import streams
from events import (
    EndpointCreatedEvent,
    EndpointRouteListUpdatedEvent,
    EventLog,
    Metadata,
    ModelServiceStatusEvent,
    RouteFailedEvent,
    RouteRecord,
    RouteStartedEvent,
    open_log,
)
from events.errors import InvalidPositionError
from events.history import tail as tail_module
from tests.consumers.support.commands import Commands

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
EMBED = UUID("e0bed000-0000-4000-8000-000000000002")
ROUTE = UUID("1b2c3d4e-0000-4000-8000-000000000003")
LINE_BYTES_MAX = 100_000


async def fill(log: EventLog) -> None:
    await log.append(
        EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="llama-3"),
        EndpointRouteListUpdatedEvent(
            endpoint_id=CHAT, routes=(RouteRecord(route_id=ROUTE, status="running"),)
        ),
        RouteStartedEvent(
            endpoint_id=CHAT, route_id=ROUTE, kernel_host="10.0.0.1", kernel_port=8000
        ),
        metadata=Metadata(request_id="r-1"),
    )
    await log.append(EndpointRouteListUpdatedEvent(endpoint_id=EMBED, routes=()))
    await log.append(
        ModelServiceStatusEvent(
            endpoint_id=CHAT,
            route_id=ROUTE,
            new_status="unhealthy",
            reason="HTTP\x1b[31m",
        )
    )
    await log.append(
        RouteFailedEvent(endpoint_id=CHAT, route_id=ROUTE, errors=("no GPU", "no disk"))
    )


async def add_garbage(log: EventLog) -> None:
    stream = log.keys.events(0)
    await log.server.client.call(
        "XADD", stream, "*", "name", "route_started", "payload", "{", b"\xfe", b"\xff\x00"
    )
    await log.server.client.call("XADD", stream, "*", "name", "told_later", "payload", "{}")


async def test_tail_shows_one_readable_line_for_each_entry(log: EventLog, run: Commands) -> None:
    await fill(log)
    await add_garbage(log)
    assert await run.lines(events, "tail") == [
        "TIME  ID  7ccd26ec  endpoint_created  test  chat: model llama-3, no health check",
        "TIME  ID  7ccd26ec  endpoint_route_list_updated  test  1 route: 1 running",
        "TIME  ID  7ccd26ec  route_started  test  1b2c3d4e at 10.0.0.1:8000",
        "TIME  ID  e0bed000  endpoint_route_list_updated  test  no routes",
        "TIME  ID  7ccd26ec  model_service_status_updated  test  1b2c3d4e unhealthy: HTTP\\x1b[31m",
        "TIME  ID  7ccd26ec  route_failed  test  1b2c3d4e: no GPU: no disk",
        "TIME  ID  ?  route_started  route_started: Input data was truncated",
        "TIME  ID  ?  told_later  event type 'told_later' is not known here",
    ]


async def test_tail_shows_the_newest_by_id_over_all_partitions(
    redis_url: str, namespace: str, run: Commands
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=3) as log:
        for ms in range(1, 13):
            stream = log.keys.events(ms % 3)
            await log.server.client.call("XADD", stream, f"{ms}-0", "name", "told_later")
    result = await run(events, "tail", "-n", "5", "-o", "json")
    shown = [(one["entry_id"], one["partition"]) for one in json.loads(result.stdout)]
    assert shown == [("8-0", 2), ("9-0", 0), ("10-0", 1), ("11-0", 2), ("12-0", 0)]
    result = await run(events, "tail", "--from", "9-0", "-o", "json")
    shown = [(one["entry_id"], one["partition"]) for one in json.loads(result.stdout)]
    assert shown == [("9-0", 0), ("10-0", 1), ("11-0", 2), ("12-0", 0)]


async def test_tail_prints_each_entry_whole_as_a_line_of_json(log: EventLog, run: Commands) -> None:
    await fill(log)
    await add_garbage(log)
    result = await run(events, "tail", "-o", "jsonl")
    created, *_, broken, unknown = map(json.loads, result.stdout.splitlines())
    assert created.keys() == {
        *("entry_id", "partition", "name", "version", "event_id", "source", "metadata", "payload")
    }
    assert (created["name"], created["version"], created["source"]) == (
        *("endpoint_created", 3, "test"),
    )
    assert created["metadata"] == {"request_id": "r-1"}
    assert created["payload"]["health_check"] is None
    assert broken["problem"] == "route_started: Input data was truncated"
    assert broken["fields"] == {
        "name": "route_started",
        "payload": "{",
        "base64:/g==": {"base64": "/wA="},
    }
    assert unknown["problem"] == "event type 'told_later' is not known here"


async def test_tail_shows_only_what_the_filters_want(log: EventLog, run: Commands) -> None:
    await fill(log)
    await add_garbage(log)

    async def names(*arguments: str) -> list[str]:
        result = await run(events, "tail", "-o", "json", *arguments)
        return [one["name"] for one in json.loads(result.stdout)]

    assert await names("--type", "endpoint_created") == ["endpoint_created"]
    assert await names("--endpoint", "E0BE") == ["endpoint_route_list_updated"]
    assert await names("--endpoint", str(EMBED)) == ["endpoint_route_list_updated"]
    assert await names("--endpoint", str(CHAT), "--type", "endpoint_*") == [
        *("endpoint_created", "endpoint_route_list_updated")
    ]
    assert await names("-n", "1", "--endpoint", "7ccd") == ["route_failed"]


async def test_a_filter_looks_through_a_bounded_part_of_the_log(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(log)
    monkeypatch.setattr(tail_module, "SEARCHED_MAX", 2)
    monkeypatch.setattr(tail_module, "READ_COUNT", 2)
    result = await run(events, "tail", "--type", "endpoint_created")
    assert result.stdout == ""
    assert "back to" in result.stderr
    assert "no events" in result.stderr


async def test_from_a_position_everything_is_shown_from_there_on(
    log: EventLog, run: Commands
) -> None:
    await fill(log)
    entries = [entry async for chunk in log.read_entries(0) for entry in chunk]

    async def ids(*arguments: str) -> list[str]:
        result = await run(events, "tail", "-o", "json", *arguments)
        return [one["entry_id"] for one in json.loads(result.stdout)]

    all_ids = [str(entry.entry_id) for entry in entries]
    assert await ids("--from", "start") == all_ids
    assert await ids("--from", "start", "-n", "2") == all_ids[:2]
    assert await ids("--from", all_ids[3]) == all_ids[3:]
    assert await ids("--from", "-1h") == all_ids
    assert await ids("--from", "end") == []


async def test_following_shows_what_comes_without_a_gap(log: EventLog, run: Commands) -> None:
    await fill(log)
    code = (
        "import sys; from consumers.cli.events.tail import events;"
        " from consumers.settings import Settings;"
        "from events.server.settings import ServerSettings;"
        " from consumers.cli.deployment import Deployment;"
        "events(['tail', '-n', '1', '-f', '-o', 'jsonl'], standalone_mode=False,"
        " obj=Deployment(Settings(sys.argv[2], server=ServerSettings(url=sys.argv[1]))))"
    )
    where = (run.deployment.settings.server.url, run.deployment.settings.namespace)
    async with await anyio.open_process([sys.executable, "-c", code, *where]) as process:
        assert process.stdout is not None
        lines = BufferedByteReceiveStream(process.stdout)
        before = json.loads(await lines.receive_until(b"\n", LINE_BYTES_MAX))
        assert before["name"] == "route_failed"
        await log.append(EndpointRouteListUpdatedEvent(endpoint_id=EMBED, routes=()))
        await add_garbage(log)
        came = [json.loads(await lines.receive_until(b"\n", LINE_BYTES_MAX)) for _ in range(3)]
        process.terminate()
    assert came[0]["name"] == "endpoint_route_list_updated"
    assert "problem" in came[1]
    assert "problem" in came[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ("tail", "--type", "route_strated"),
        ("tail", "-f", "--watch"),
        ("tail", "-f", "-o", "json"),
        ("tail", "-n", "-1"),
        ("show", "1-1", "--partition", "7"),
    ],
)
async def test_wrong_arguments_are_refused(run: Commands, arguments: tuple[str, ...]) -> None:
    result = await run(events, *arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


async def test_a_wrong_position_or_id_is_refused_in_one_line(run: Commands) -> None:
    for arguments in (("tail", "--from", "yesterday"), ("show", "12")):
        result = await run(events, *arguments)
        assert isinstance(result.exception, InvalidPositionError)


async def test_an_empty_log_has_nothing_to_show(run: Commands) -> None:
    for group, verb in ((events, "tail"), (streams, "ls")):
        shown = await run(group, verb)
        assert shown.exit_code == 0
        assert (shown.stdout, "no " in shown.stderr) == ("", True)
        as_json = await run(group, verb, "-o", "json")
        assert as_json.stdout == "[]\n"


async def test_show_prints_one_entry_with_all_it_holds(log: EventLog, run: Commands) -> None:
    await fill(log)
    entry_id = str(await log.head(0))
    shown = await run.lines(events, "show", entry_id)
    assert shown[:2] == ["entry  ID", "time  TIME UTC, AGE"]
    assert "name  route_failed" in shown
    assert "source  test" in shown
    assert '  "errors": [' in shown
    told = json.loads((await run(events, "show", entry_id, "-o", "json")).stdout)
    assert told["payload"]["errors"] == ["no GPU", "no disk"]


async def test_show_prints_an_unreadable_entry_raw(log: EventLog, run: Commands) -> None:
    await add_garbage(log)
    [broken, _] = [entry async for chunk in log.read_entries(0) for entry in chunk]
    shown = await run.lines(events, "show", str(broken.entry_id))
    assert shown[3:] == [
        "problem  route_started: Input data was truncated",
        "field name  route_started",
        "field payload  {",
        "field base64:/g==  base64 /wA=",
    ]


async def test_an_entry_that_is_not_there_is_not_found(run: Commands) -> None:
    result = await run(events, "show", "1-1")
    assert result.exit_code == 3


async def test_an_id_on_several_partitions_must_be_told_apart(
    redis_url: str, namespace: str, run: Commands
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=2) as log:
        for partition in range(2):
            stream = log.keys.events(partition)
            await log.server.client.call("XADD", stream, "5-1", "name", f"n{partition}")
    refused = await run(events, "show", "5-1")
    assert refused.exit_code == 2
    assert "2 partitions have an entry 5-1: --partition 0 for one that cannot" in refused.stderr
    result = await run(events, "show", "5-1", "--partition", "1", "-o", "json")
    assert json.loads(result.stdout)["fields"] == {"name": "n1"}


async def test_an_id_beyond_the_calendar_is_shown_all_the_same(
    log: EventLog, run: Commands
) -> None:
    await log.server.client.call("XADD", log.keys.events(0), "18446744073709551615-1", "a", "b")
    assert "18446744073709551615-1" in (await run(events, "tail")).stdout
    assert (await run(events, "show", "18446744073709551615-1")).exit_code == 0
    assert (await run(streams, "ls")).exit_code == 0


async def test_streams_are_listed_with_what_redis_says_of_them(
    log: EventLog, run: Commands
) -> None:
    await fill(log)
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "4")
    header, row = await run.lines(streams, "ls")
    assert header == "STREAM  LENGTH  BYTES  ADDED  RATE/S  GROUPS  MAX LAG  FIRST  LAST  AGE"
    stream, length, *_, first, last, age = row.split("  ")
    assert (stream, length, first, last, age) == (log.keys.events(0), "4", "ID", "ID", "AGE")
    [told] = json.loads((await run(streams, "ls", "-o", "json")).stdout)
    assert (told["length"], told["added"], told["groups"]) == (4, 6, 0)
    assert told["last"] == str(await log.head(0))
    assert told["bytes"] > 0


async def test_reading_commands_write_nothing(log: EventLog, run: Commands) -> None:
    before = await log.server.client.call("KEYS", "*other-of-*")
    settings = run.deployment.settings
    other = Commands(settings.server.url, f"other-of-{settings.namespace}")
    for group, verb in ((events, "tail"), (streams, "ls")):
        await other(group, verb)
    assert await log.server.client.call("KEYS", "*other-of-*") == before == []


async def test_the_command_itself_ends_with_the_agreed_exit_codes(
    redis_url: str, namespace: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "REDIS_URL": redis_url, "ROUTESTREAM_NAMESPACE": namespace}

    async def exit_of(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "consumers", *arguments]
        done = await run_sync(
            lambda: subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
        )
        note, *rest = done.stderr.splitlines(keepends=True)
        return done.returncode, "".join(rest if note.startswith("there is no log ") else [note])

    assert await exit_of("events", "tail") == (0, "no events\n")
    code, told = await exit_of("events", "tail", "--from", "never")
    assert (code, told.count("\n")) == (2, 1)
    code, told = await exit_of("events", "show", "1-1")
    assert (code, told.count("\n")) == (3, 1)
    code, told = await exit_of("endpoints", "ls")
    assert (code, told.count("\n")) == (3, 1)
    assert "consume route-table" in told
    nowhere = f"unix://{tmp_path}/none.sock"
    assert (await exit_of("--url", nowhere, "streams", "ls"))[0] == 4


async def test_show_tells_what_each_group_has_done_with_the_entry(
    log: EventLog, run: Commands
) -> None:
    await fill(log)
    client, stream = log.server.client, log.keys.events(0)
    entries = [str(e.entry_id) async for chunk in log.read_entries(0) for e in chunk]
    for group, count in (("ahead", 6), ("at-it", 3), ("behind", 1)):
        await client.call("XGROUP", "CREATE", stream, group, "0")
        read = ("XREADGROUP", "GROUP", group, "c-1", "COUNT", count, "STREAMS", stream, ">")
        await client.call(*read)
    await client.call("XACK", stream, "ahead", *entries)
    await client.call("HSET", log.keys.errors(0, "at-it"), entries[2], "OSError: no luck")
    shown = await run.lines(events, "show", entries[2])
    assert shown[-4:] == [
        "GROUP  STATE  CONSUMER  IDLE  DELIVERIES  LAST ERROR",
        "ahead  acknowledged",
        "at-it  pending  c-1  AGE  1  OSError: no luck",
        "behind  not delivered",
    ]
    told = json.loads((await run(events, "show", entries[2], "-o", "json")).stdout)
    assert told["groups"][0] == {
        "group": "ahead",
        "state": "acknowledged",
        "consumer": None,
        "idle_ms": None,
        "deliveries": None,
        "last_error": None,
        "dead_id": None,
    }
    assert told["groups"][1]["last_error"] == "OSError: no luck"
    assert told["groups"][1]["idle_ms"] >= 0


async def test_show_names_the_upcasts_and_how_the_payload_is_read(
    log: EventLog, run: Commands
) -> None:
    payload = {"endpoint_id": str(CHAT), "health_check": {"path": "/up"}}
    fields = ("name", "endpoint_health_check_updated", "v", "1", "payload", json.dumps(payload))
    await log.server.client.call("XADD", log.keys.events(0), "7-0", *fields)
    shown = await run.lines(events, "show", "7-0")
    by = "endpoint_health_check_updated"
    upcasts = f"version 1 to 2 by {by}_v1_v2, version 2 to 3 by {by}_v2_v3"
    assert f"upcast  {upcasts}" in shown
    assert shown.index("payload") < shown.index("read as")
    told = json.loads((await run(events, "show", "7-0", "-o", "json")).stdout)
    assert told["upcasts"] == [
        {"from": 1, "to": 2, "by": f"{by}_v1_v2"},
        {"from": 2, "to": 3, "by": f"{by}_v2_v3"},
    ]
    assert told["payload"] == payload
    assert told["read_as"]["health_check"] == {"path": "/up"}
    newest = json.loads((await run(events, "show", "7-0", "-o", "json", "--raw")).stdout)
    assert newest == {
        "entry_id": "7-0",
        "fields": dict(zip(fields[::2], fields[1::2], strict=True)),
    }


async def test_show_prints_the_bytes_as_they_are(log: EventLog, run: Commands) -> None:
    value = b"0123456789abcdef\x00z"
    await log.server.client.call("XADD", log.keys.events(0), "7-0", b"\xff", value)
    result = await run(events, "show", "7-0", "--hex")
    assert result.stdout.splitlines() == [
        r"\xff, 18 bytes",
        "  00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef",
        "  00000010  00 7a                                            .z",
    ]
    result = await run(events, "show", "7-0", "--hex", "-o", "json")
    assert json.loads(result.stdout)["fields"] == {r"\xff": value.hex()}
    assert await run.lines(events, "show", "7-0", "--raw") == [r"\xff  0123456789abcdef\x00z"]
