"""What `routestream groups ls` shows."""

import json
from typing import Any

import pytest

from consumers.cli.dead.dead import dead
from consumers.cli.groups.groups import groups
from consumers.cli.groups.show import show_group
from consumers.groups import state as group_state
from events import EventLog, open_log
from events.streams import group_activity, lag
from tests.consumers.support.chat import append
from tests.consumers.support.commands import Commands

GROUP = "readers"


async def read(log: EventLog, count: int) -> None:
    """Let a consumer of the group be given *count* entries, none of which it acknowledges."""
    stream = log.keys.events(0)
    await log.server.client.call(
        "XREADGROUP", "GROUP", GROUP, "c-1", "COUNT", count, "STREAMS", stream, ">"
    )


async def acknowledge_all(log: EventLog) -> None:
    async for entries in log.read_entries(0):
        ids = [str(entry.entry_id) for entry in entries]
        await log.server.client.call("XACK", log.keys.events(0), GROUP, *ids)


async def create_group(log: EventLog, start: str = "0") -> None:
    await log.server.client.call("XGROUP", "CREATE", log.keys.events(0), GROUP, start, "MKSTREAM")


async def state(run: Commands) -> dict[str, Any]:
    result = await run(groups, "ls", "-o", "json")
    assert result.exit_code == 0, result.output
    [told] = json.loads(result.stdout)
    return dict(told)


async def test_ls_shows_what_is_pending_and_what_is_still_to_be_read(
    log: EventLog, run: Commands
) -> None:
    await append(log, 10)
    await create_group(log)
    await read(log, 3)
    header, row = await run.lines(groups, "ls")
    assert header.split("  ") == [
        *("GROUP", "PARTITION", "CONSUMERS", "ACTIVE", "PENDING", "LAG", "LOST"),
        *("OLDEST PENDING", "LAST DELIVERED", "RATE/S", "ETA", "STATE"),
    ]
    assert row == "readers  0  1  1  3  7  0  AGE  ID  0  never  working"
    told = await state(run)
    entries = [str(e.entry_id) async for chunk in log.read_entries(0) for e in chunk]
    assert told == {
        "group": GROUP,
        "partition": 0,
        "state": "working",
        "consumers": 1,
        "active": 1,
        "pending": 3,
        "lag": 7,
        "lag_min": 7,
        "lag_max": 7,
        "backlog": 10,
        "lost": 0,
        "last_delivered": entries[2],
        "oldest_pending": entries[0],
        "rate_s": 0.0,
        "appended_s": 0.0,
        "eta_s": None,
    }


async def test_a_group_that_has_ended_everything_is_up_to_date(
    log: EventLog, run: Commands
) -> None:
    await append(log, 3)
    await create_group(log)
    await read(log, 3)
    await acknowledge_all(log)
    told = await state(run)
    assert (told["state"], told["backlog"], told["oldest_pending"]) == ("up_to_date", 0, None)


async def test_a_group_without_consumers_is_stopped(log: EventLog, run: Commands) -> None:
    await append(log, 3)
    await create_group(log)
    told = await state(run)
    assert (told["state"], told["lag"], told["last_delivered"]) == ("stopped", 3, None)


async def test_a_group_whose_consumers_ask_for_nothing_is_silent(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_activity, "SILENT_MS", 0)
    await append(log, 3)
    await create_group(log)
    await read(log, 1)
    assert (await state(run))["state"] == "silent"


async def test_after_a_trim_past_the_group_the_lag_is_what_is_left_and_the_loss_is_said(
    log: EventLog, run: Commands
) -> None:
    await append(log, 10)
    await create_group(log)
    await read(log, 2)
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "5")
    told = await state(run)
    assert (told["lag"], told["lost"], told["pending"]) == (5, 3, 2)
    assert (await run.lines(groups, "ls"))[
        1
    ] == "readers  0  1  1  2  5  3  AGE  ID  0  never  working"
    await read(log, 5)
    told = await state(run)
    assert told["lag"] == 0
    assert told["lost"] in {None, 3}  # who can tell depends on the server's version
    await append(log, 4)
    assert (await state(run))["lag"] == 4


async def test_after_a_trim_of_what_was_read_nothing_is_lost(log: EventLog, run: Commands) -> None:
    await append(log, 10)
    await create_group(log)
    await read(log, 8)
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "4")
    told = await state(run)
    assert (told["lag"], told["lost"]) == (2, None)
    await read(log, 2)
    told = await state(run)
    assert (told["lag"], told["lost"]) == (0, None)


async def test_where_the_server_has_no_lag_it_is_counted(log: EventLog, run: Commands) -> None:
    await append(log, 10)
    await create_group(log)
    await read(log, 2)
    entries = [str(e.entry_id) async for chunk in log.read_entries(0) for e in chunk]
    await log.server.client.call("XDEL", log.keys.events(0), entries[5], entries[6])
    [about] = await log.server.client.execute_command("XINFO GROUPS", log.keys.events(0))
    assert about["lag"] is None
    told = await state(run)
    assert (told["lag"], told["backlog"], told["lost"]) == (6, 8, None)


async def test_a_lag_too_long_to_count_is_said_to_be_at_least_so_long(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_state, "COUNTED_MAX", 4)
    monkeypatch.setattr(lag, "READ_COUNT", 2)
    await append(log, 20)
    await create_group(log)
    await read(log, 10)
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "18")
    shown = (await run.lines(groups, "ls"))[1]
    assert shown == "readers  0  1  1  10  ~10  AGE  ID  0  never  working"
    told = await state(run)
    assert (told["lag"], told["lag_min"], told["lag_max"]) == (None, 4, 10)
    assert told["backlog"] is None
    entries = [str(e.entry_id) async for chunk in log.read_entries(0) for e in chunk]
    await log.server.client.call("XDEL", log.keys.events(0), entries[-2])
    assert ">=4" in (await run.lines(groups, "ls"))[1]


async def test_a_long_lag_is_told_from_how_little_was_read(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_state, "COUNTED_MAX", 4)
    monkeypatch.setattr(lag, "READ_COUNT", 2)
    await append(log, 20)
    await create_group(log)
    await read(log, 4)
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "18")
    told = await state(run)
    assert (told["lag"], told["backlog"]) == (16, 20)


async def test_what_a_consumer_found_gone_is_counted_as_lost_for_good(
    log: EventLog, run: Commands
) -> None:
    await append(log, 3)
    await create_group(log)
    await read(log, 3)
    await log.server.client.call("HSET", log.keys.lost(0), GROUP, 7)
    assert (await state(run))["lost"] == 7


async def test_a_group_created_in_the_middle_of_the_log_has_a_true_lag(
    log: EventLog, run: Commands
) -> None:
    await append(log, 10)
    entries = [str(e.entry_id) async for chunk in log.read_entries(0) for e in chunk]
    await create_group(log, entries[6])
    assert (await state(run))["lag"] == 3


async def test_a_group_that_is_missing_in_a_partition_is_shown_as_missing(
    redis_url: str, namespace: str, run: Commands
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=2) as log:
        await create_group(log)
    assert (await run.lines(groups, "ls"))[1:] == [
        "readers  0  0  0  0  0  0  none  0  AGE  stopped",
        "readers  1  missing",
    ]
    there, missing = (await run(show_group, GROUP)).stdout.split("\n\n")
    assert [one.split() for one in there.splitlines() if one.startswith("lag")] == [["lag", "0"]]
    assert "missing" in missing
    assert "lag " not in missing


async def test_a_log_without_groups_has_none_to_show(log: EventLog, run: Commands) -> None:
    await append(log, 1)
    result = await run(groups, "ls")
    assert (result.stdout, result.stderr) == ("", "no groups\n")
    assert (await run(groups, "ls", "-o", "json")).stdout == "[]\n"


async def test_without_a_log_the_note_says_that_there_is_none(
    redis_url: str, namespace: str, run: Commands
) -> None:
    result = await run(groups, "ls")
    assert (result.exit_code, result.stdout) == (0, "")
    address = redis_url.removeprefix("redis://")
    assert result.stderr == (
        f"no groups\nthere is no log {namespace!r} on {address}:"
        " --namespace or ROUTESTREAM_NAMESPACE names another\n"
    )


async def test_wrong_counts_and_intervals_are_refused(run: Commands) -> None:
    for group, *arguments in ((dead, "ls", "-n", "0"), (groups, "ls", "--watch", "0")):
        assert (await run(group, *arguments)).exit_code == 2
