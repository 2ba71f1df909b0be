"""What `routestream streams` shows: of the log's partitions, and of any other stream."""

import json
import re
from typing import Any

import pytest

from consumers.cli.streams.streams import streams
from consumers.processes.embedded import EmbeddedServer
from consumers.retention.settings import RetentionSettings
from events import EventLog, open_log
from events.entry.entry_id import EntryId
from events.log.positions import Positions, group_holder, snapshot_holder
from events.streams import redis_stream as redis_stream_module
from projections.catalogue import READ_MODELS
from tests.consumers.support.chat import append
from tests.consumers.support.commands import Commands, end_of
from tests.consumers.support.terminal import environment_of, in_terminal
from tests.events.support.old_entries import add_old, old_id


async def read(log: EventLog, group: str, count: int, *acknowledged: str) -> None:
    client, stream = log.server.client, log.keys.events(0)
    await client.call("XGROUP", "CREATE", stream, group, "0")
    if count:
        await client.call("XREADGROUP", "GROUP", group, "c", "COUNT", count, "STREAMS", stream, ">")
    if acknowledged:
        await client.call("XACK", stream, group, *acknowledged)


async def shown(run: Commands, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    result = await run(streams, *arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def test_ls_tells_the_largest_lag_of_the_groups(log: EventLog, run: Commands) -> None:
    ids = await append(log, 6)
    await read(log, "ahead", 6, *ids)
    await read(log, "behind", 1)
    header, row = await run.lines(streams, "ls")
    assert header == ("STREAM  LENGTH  BYTES  ADDED  RATE/S  GROUPS  MAX LAG  FIRST  LAST  AGE")
    cells = row.split("  ")
    assert (cells[1], cells[3], *cells[5:]) == ("6", "6", "2", "5", "ID", "ID", "AGE")
    [told] = await shown(run, "ls")
    assert (told["groups"], told["max_lag"], told["max_lag_min"]) == (2, 5, 5)
    assert told["partition"] == 0
    assert 0 < told["rate_per_s"] <= 5_000


async def test_the_rate_is_what_the_newest_entries_tell_until_now(
    log: EventLog, run: Commands
) -> None:
    client, stream = log.server.client, log.keys.events(0)
    seconds, _ = await client.execute_command("TIME")
    for ago in (1_000, 900, 100):
        await client.call("XADD", stream, f"{(seconds - ago) * 1_000}-0", "name", "x")
    [told] = await shown(run, "ls")
    assert told["rate_per_s"] == pytest.approx(2 / 1_000, rel=0.05)


async def test_a_lag_the_server_cannot_tell_is_counted_to_a_bound(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(log, 8)
    await read(log, "behind", 4)
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "7")
    assert (await shown(run, "ls"))[0]["max_lag"] == 4
    monkeypatch.setattr(redis_stream_module, "LAG_COUNTED_MAX", 3)
    [told] = await shown(run, "ls")
    assert (told["max_lag"], told["max_lag_min"]) == (None, 3)
    assert "  >=3  " in (await run.lines(streams, "ls"))[1]


async def test_the_largest_lag_is_a_bound_only_where_a_group_that_was_not_counted_is_behind(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await append(log, 9)
    call, stream = log.server.client.execute_command, log.keys.events(0)
    await read(log, "far", 0)
    await call("XGROUP", "CREATE", stream, "near", ids[3])
    await call("XDEL", stream, ids[8])
    monkeypatch.setattr(redis_stream_module, "LAG_COUNTED_MAX", 3)
    [told] = await shown(run, "ls")
    assert (told["max_lag"], told["max_lag_min"]) == (8, 8)
    await call("XGROUP", "SETID", stream, "far", ids[2])
    [told] = await shown(run, "ls")
    assert (told["max_lag"], told["max_lag_min"]) == (None, 3)


async def test_a_known_lag_is_the_least_that_a_group_behind_it_has(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await append(log, 9)
    await read(log, "told", 4)
    await log.server.client.call("XGROUP", "CREATE", log.keys.events(0), "uncounted", ids[2])
    monkeypatch.setattr(redis_stream_module, "LAG_COUNTED_MAX", 3)
    [told] = await shown(run, "ls")
    assert (told["max_lag"], told["max_lag_min"]) == (None, 5)
    assert "  >=5  " in (await run.lines(streams, "ls"))[1]


async def test_all_lists_the_streams_of_others_too_and_match_chooses(
    log: EventLog, run: Commands, namespace: str
) -> None:
    await append(log, 1)
    client = log.server.client
    for key in (f"x-{namespace}-1", f"x-{namespace}-2", b"x-%s-\xff" % namespace.encode()):
        await client.call("XADD", key, "*", "a", "b")
    await client.call("SET", f"x-{namespace}-3", "no stream")
    everything = await shown(run, "ls", "--all")
    named = [one["stream"] for one in everything if namespace in one["stream"]]
    assert named[0] == log.keys.events(0)
    assert named[1:] == [f"x-{namespace}-1", f"x-{namespace}-2", rf"x-{namespace}-\xff"]
    assert everything[1]["partition"] is None
    matched = await shown(run, "ls", "--match", f"x-{namespace}-[12]")
    assert [one["stream"] for one in matched] == named[1:3]
    nothing = await run(streams, "ls", "--match", "nowhere-*")
    assert (nothing.stdout, nothing.stderr) == ("", "no streams match 'nowhere-*'\n")


async def test_show_names_who_holds_the_log_back(log: EventLog, run: Commands) -> None:
    await add_old(log, 6)
    ids = [str(old_id(number)) for number in range(6)]
    await read(log, "done", 6, *ids)
    await read(log, "stuck", 4, ids[0], ids[1])
    positions = Positions(log.server, log.keys, 0)
    await positions.advance("archive", EntryId.parse(ids[4]))
    for read_model in READ_MODELS:
        await positions.advance(snapshot_holder(read_model), EntryId.parse(ids[3]))
    told = await shown(run, "show", "0")
    assert [(one["group"], one["pending"], one["lag"]) for one in told["groups"]] == [
        *(("done", 0, 0), ("stuck", 2, 2))
    ]
    assert [(one["holder"], one["stands_at"], one["keeps_from"]) for one in told["holders"]] == [
        ("archive", ids[4], ids[4]),
        ("group:done", ids[5], ids[5]),
        ("group:stuck", ids[3], ids[2]),
        ("snapshot:health-state", ids[3], ids[3]),
        ("snapshot:route-table", ids[3], ids[3]),
    ]
    assert (told["safe_before"], told["held_by"]) == (ids[2], ["group:stuck"])
    lines = await run.lines(streams, "show", log.keys.events(0))
    [safe] = [line for line in lines if line.startswith("safe to cut")]
    assert re.fullmatch(r"safe to cut  all before ID, \d+d.* old; held by group:stuck", safe)
    assert "GROUP  CONSUMERS  PENDING  LAG  LAST DELIVERED  OLDEST PENDING" in lines


async def test_show_keeps_what_the_settings_keep(log: EventLog, run: Commands) -> None:
    ids = await append(log, 2)
    client, stream = log.server.client, log.keys.events(0)
    seconds, _ = await client.execute_command("TIME")
    young = f"{(seconds - 10) * 1_000}-0"
    await client.call("DEL", stream)
    for at in ("1-0", "2-0", young, ids[1]):
        await client.call("XADD", stream, at, "name", "x")
    await read(log, "done", 4, "1-0", "2-0", young, ids[1])
    run.configure(retention=RetentionSettings(keep_s=3_600, without_snapshot=True))
    told = await shown(run, "show", "0")
    assert (told["safe_before"], told["held_by"]) == ("0-0", ["archive"])
    await Positions(log.server, log.keys, 0).advance("archive", EntryId.parse(ids[1]))
    told = await shown(run, "show", "0")
    assert (told["safe_before"], told["held_by"]) == (told["floor"], [])
    assert (seconds - 3_601) * 1_000 < int(told["floor"].partition("-")[0]) < (seconds - 10) * 1_000
    lines = await run.lines(streams, "show", "0")
    assert "safe to cut  all before ID: what is younger is kept" in lines


async def test_show_warns_of_what_should_not_be_so(log: EventLog, run: Commands) -> None:
    ids = await append(log, 6)
    await read(log, "stopped", 0)
    await read(log, "stuck", 3)
    client, stream = log.server.client, log.keys.events(0)
    await client.call("XDEL", stream, ids[3])
    await client.call("XTRIM", stream, "MINID", ids[2])
    at = EntryId.parse(ids[1])
    await Positions(log.server, log.keys, 0).advance(group_holder("gone"), at)
    warnings = (await shown(run, "show", "0"))["warnings"]
    pending_gone = (
        "group stuck has entries pending that are not in the stream any more, the oldest is"
    )
    assert warnings[:4] == [
        "group stopped has no consumer and 3 entries to read",
        f"{pending_gone} {ids[0]}",
        f"group:gone stands at {ids[1]}, but the stream has no such group",
        f"entries were deleted from the middle, the newest of them {ids[3]}",
    ]
    lines = await run.lines(streams, "show", "0")
    assert "warning: group stopped has no consumer and 3 entries to read" in lines
    held_by = "archive, group:stopped, snapshot:health-state, snapshot:route-table"
    assert f"safe to cut  nothing; held by {held_by}" in lines


async def test_a_stream_that_nobody_reads_says_so(
    log: EventLog, run: Commands, namespace: str
) -> None:
    key = f"x-{namespace}"
    await log.server.client.call("XADD", key, "1-1", "a", "b")
    told = await shown(run, "show", key)
    assert (told["safe_before"], told["holders"], told["held_by"]) == (None, [], [])
    lines = await run.lines(streams, "show", key)
    assert "safe to cut  nobody reads it: nothing says what may go" in lines


async def test_a_foreign_stream_is_shown_with_its_groups_alone(
    log: EventLog, run: Commands, namespace: str
) -> None:
    key, client = f"x-{namespace}", log.server.client
    await client.call("XADD", key, "1-1", "a", "b")
    await client.call("XGROUP", "CREATE", key, "readers", "$")
    await Positions(log.server, log.keys, 0).advance("archive", EntryId(1, 0))
    told = await shown(run, "show", key)
    assert (told["partition"], [one["holder"] for one in told["holders"]]) == (
        None,
        ["group:readers"],
    )
    assert "safe to cut  all before 1-1: everything was read" in await run.lines(
        streams, "show", key
    )


async def test_what_is_not_there_is_not_found(log: EventLog, run: Commands, namespace: str) -> None:
    assert end_of(await run(streams, "show", "0")) == 3
    assert end_of(await run(streams, "show", f"x-{namespace}")) == 3
    assert (await run(streams, "show", "1")).exit_code == 2
    await log.server.client.call("SET", f"x-{namespace}", "a string")
    assert end_of(await run(streams, "show", f"x-{namespace}")) == 3


async def test_partitions_are_listed_in_their_order(
    redis_url: str, namespace: str, run: Commands
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=12) as log:
        for partition in range(12):
            await log.server.client.call("XADD", log.keys.events(partition), "1-1", "a", "b")
    listed = await shown(run, "ls", "--match", f"*{namespace}*")
    assert [one["partition"] for one in listed] == list(range(12))


@pytest.mark.parametrize("columns", [80, 200])
async def test_ls_fits_the_terminal(
    log: EventLog, redis_url: str, namespace: str, columns: int
) -> None:
    await append(log, 1)
    drawn = await in_terminal(["streams", "ls"], environment_of(redis_url, namespace), columns)
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in drawn.splitlines()]
    assert all(len(line) <= columns for line in lines)
    assert ("FIRST" in lines[0]) == (columns == 200)
    assert str(await log.head(0)) in lines[-1]


async def test_a_stream_that_may_not_be_looked_at_is_left_out_with_a_word(
    own_server: EmbeddedServer, namespace: str
) -> None:
    async with open_log(own_server.url, namespace=namespace) as log:
        await append(log, 1)
        client = log.server.client
        await client.call("XADD", "hidden", "*", "a", "b")
        await client.call("ACL", "SETUSER", "u", "on", ">p", f"~*{namespace}*", "+@all")
    run = Commands(own_server.url.replace("://", "://u:p@"), namespace)
    result = await run(streams, "ls", "--all", "-o", "json")
    assert [one["partition"] for one in json.loads(result.stdout)] == [0]
    assert result.stderr.startswith("hidden: the server's ACL gives this account no permission")


async def test_watching_cuts_off_what_the_terminal_has_no_lines_for(
    redis_url: str, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=40) as log:
        for partition in range(40):
            await log.server.client.call("XADD", log.keys.events(partition), "1-1", "a", "b")
    environment = environment_of(redis_url, namespace)
    drawn = await in_terminal(["streams", "ls", "--watch"], environment, 200, until="\x1b[J")
    screen = drawn.rpartition("\x1b[H")[2]
    assert screen.count("\x1b[K") == 23
    assert "... 19 more lines" in screen
