"""What `routestream groups reset`, `prune` and `remove` plan, refuse and do."""

import json
from typing import Any

import pytest

from consumers.cli.groups import change as group_change_commands
from consumers.cli.groups.change import prune_groups, remove_group, reset_group
from consumers.cli.groups.groups import groups
from consumers.groups import change as group_change
from consumers.groups.details import read_members
from events.entry.entry_id import EntryId
from events.log.log import EventLog, open_log
from events.log.positions import Positions
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands
from tests.events.support.old_entries import (
    acknowledge,
    add_old,
    leave_group,
    old_id,
    read,
    there,
)

GROUP = "readers"


async def delivered(log: EventLog) -> EntryId:
    [about] = await log.server.client.execute_command("XINFO GROUPS", log.keys.events(0))
    return EntryId.parse(about["last-delivered-id"])


async def test_reset_plans_does_and_says_how_to_undo_it(log: EventLog, run: Commands) -> None:
    await leave_group(log, GROUP)

    result = await run(reset_group, GROUP, "--to", str(old_id(2)), "--reason", "again", "--yes")

    assert result.exit_code == 0, result.output
    undo = f"routestream groups reset {GROUP} --partition 0 --to {old_id(5).after()}"
    assert result.stderr.splitlines() == [
        f"{GROUP}, partition 0: after {old_id(5)} -> from {old_id(2)} on: 4 delivered again",
        f"partition 0: {GROUP} will continue after {old_id(1)}; to undo: {undo}",
    ]
    assert await delivered(log) == old_id(1)
    back = await run(reset_group, *undo.split()[3:], "--yes")
    assert back.exit_code == 0, back.output
    assert await delivered(log) == old_id(5)


@pytest.mark.parametrize(
    ("to", "plan", "behind"),
    [
        ("end", "from the end on: 4 passed over, never to be delivered", old_id(9)),
        ("start", "from the start on: 6 delivered again", EntryId(0, 0)),
        ("2023-11-14T22:13:28Z", f"from {old_id(8)} on: 2 passed over, never to", old_id(7)),
        ("-1h", "on: 4 passed over, never to be delivered", old_id(9)),
    ],
)
async def test_reset_takes_every_kind_of_position(
    log: EventLog, run: Commands, to: str, plan: str, behind: EntryId
) -> None:
    await leave_group(log, GROUP)

    result = await run(reset_group, GROUP, "--to", to, "--yes")

    assert plan in result.stderr
    assert await delivered(log) == behind


async def test_reset_says_that_documents_stay_as_they_are(log: EventLog, run: Commands) -> None:
    await leave_group(log, ROUTE_TABLE.name)
    result = await run(reset_group, ROUTE_TABLE.name, "--to", "start", "--yes")
    assert "its documents stay as they are" in result.stderr


async def test_reset_is_refused_while_somebody_reads_unless_forced(
    log: EventLog, run: Commands
) -> None:
    await leave_group(log, GROUP)
    await read(log, GROUP, 1, "c-2")

    refused = await run(reset_group, GROUP, "--to", "start", "--yes")
    assert (refused.exit_code, await delivered(log)) == (1, old_id(6))
    assert refused.stderr == ""  # nobody is asked about what will not be done
    forced = await run(reset_group, GROUP, "--to", "start", "--force", "--yes")
    assert (forced.exit_code, await delivered(log)) == (0, EntryId(0, 0))
    assert "6 delivered again" not in forced.stderr
    assert "7 delivered again, 1 stay pending" in forced.stderr


async def test_reset_in_one_partition_leaves_the_others(
    redis_url: str, namespace: str, run: Commands
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=2) as log:
        await leave_group(log, GROUP)
        second = log.keys.events(1)
        await log.server.client.call("XGROUP", "CREATE", second, GROUP, "0", "MKSTREAM")
        await log.server.client.call("XADD", second, "5-0", "name", "stray")

        result = await run(reset_group, GROUP, "--to", "end", "--partition", "1", "--yes")

        assert result.exit_code == 0, result.output
        assert await delivered(log) == old_id(5)
        [about] = await log.server.client.execute_command("XINFO GROUPS", second)
        assert about["last-delivered-id"] == b"5-0"
    assert (await run(reset_group, GROUP, "--to", "end", "--partition", "7")).exit_code == 3


async def test_reset_says_where_the_group_is_missing_and_not_moved(
    redis_url: str, namespace: str, run: Commands
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=2) as log:
        await leave_group(log, GROUP)
        await log.server.client.call("XADD", log.keys.events(1), "5-0", "name", "stray")

        result = await run(reset_group, GROUP, "--to", "end", "--yes")
        one = await run(reset_group, GROUP, "--to", "end", "--partition", "0", "--yes")

    assert result.exit_code == 0, result.output
    told, plan, *_ = result.stderr.splitlines()
    assert told == "partition 1: the group is missing there; it is not moved"
    assert plan.startswith(f"{GROUP}, partition 0: ")
    assert "missing" not in one.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((GROUP,), 2),
        ((GROUP, "--to", "soon", "--yes"), 1),
        (("nobody", "--to", "start", "--yes"), 3),
        ((GROUP, "--to", "start"), 2),
    ],
)
async def test_a_wrong_reset_changes_nothing(
    log: EventLog, run: Commands, arguments: tuple[str, ...], code: int
) -> None:
    await leave_group(log, GROUP)
    result = await run(reset_group, *arguments)
    assert result.exit_code == code
    assert await delivered(log) == old_id(5)


async def test_prune_removes_who_is_gone_and_has_nothing_pending(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_change_commands, "SILENT_MS", 0)
    await leave_group(log, GROUP)
    for name in ("gone-1", "gone-2"):
        await log.server.client.call("XGROUP", "CREATECONSUMER", log.keys.events(0), GROUP, name)
    await read(log, GROUP, 1, "holder")

    result = await run(prune_groups, "--idle", "0s", "--yes")

    assert result.stderr.splitlines() == [
        "holder stays: 1 entries are pending with it",
        f"{GROUP}, partition 0: gone-1, gone-2 -> removed",
        "2 consumers removed",
    ]
    assert [one.name for one in await read_members(log, 0, GROUP)] == ["holder"]


async def test_prune_leaves_those_that_were_heard_of(log: EventLog, run: Commands) -> None:
    await leave_group(log, GROUP)
    await log.server.client.call("XGROUP", "CREATECONSUMER", log.keys.events(0), GROUP, "c-2")

    result = await run(prune_groups, GROUP, "--yes")

    assert (result.exit_code, result.stderr) == (0, "no consumer is gone for 5m\n")
    assert (await run(prune_groups, "--idle", "1s", "--yes")).exit_code == 2
    assert (await run(prune_groups, "nobody", "--yes")).exit_code == 3


async def test_remove_plans_and_removes(log: EventLog, run: Commands) -> None:
    await leave_group(log, GROUP)

    asked = await run(remove_group, GROUP)
    assert asked.exit_code == 2
    assert await there(log)
    result = await run(remove_group, GROUP, "--reason", "no use", "--yes")

    there_was = "0 consumers, 0 pending, 4 not delivered"
    assert result.stderr.splitlines() == [
        f"{GROUP}, partition 0: {there_was} -> removed; nobody ends these",
        f"partition 0: {GROUP} removed, 0 were pending",
    ]
    assert await log.server.client.execute_command("XINFO GROUPS", log.keys.events(0)) == []
    assert (await run(remove_group, GROUP, "--yes")).exit_code == 3


async def test_remove_says_that_dead_letters_stay(log: EventLog, run: Commands) -> None:
    await leave_group(log, GROUP)
    await log.server.client.call("XADD", log.keys.dead(0, GROUP), "*", "stray", "field")
    result = await run(remove_group, GROUP, "--yes")
    assert result.stderr.splitlines()[-1] == f"its dead letters stay: routestream dead ls {GROUP}"


async def test_a_lost_group_is_removed_too(log: EventLog, run: Commands) -> None:
    await add_old(log, 1)
    await Positions(log.server, log.keys, 0).advance("group:lost", old_id(0))

    result = await run(remove_group, "lost", "--yes")

    assert result.exit_code == 0
    assert "lost, its position kept -> removed" in result.stderr
    assert await Positions(log.server, log.keys, 0).all() == {}


async def test_remove_is_refused_while_somebody_reads(log: EventLog, run: Commands) -> None:
    await leave_group(log, GROUP)
    await read(log, GROUP, 1, "c-2")
    assert (await run(remove_group, GROUP, "--yes")).exit_code == 1
    assert (await run(remove_group, GROUP, "--force", "--yes")).exit_code == 0


async def test_a_shipped_group_that_is_at_work_is_not_removed_even_by_force(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ROUTE_TABLE.name
    await leave_group(log, name)
    await read(log, name, 1, "c-2")
    refused = await run(remove_group, name, "--force", "--yes")
    assert refused.exit_code == 2
    assert "stop them first" in refused.output
    assert await delivered(log) == old_id(6)

    monkeypatch.setattr(group_change, "SILENT_MS", 0)
    monkeypatch.setattr("consumers.groups.state.SILENT_MS", 0)
    done = await run(remove_group, name, "--yes")
    assert done.exit_code == 0
    assert f"`routestream consume {name}` makes it anew" in done.stderr


async def test_rates_and_the_time_left_are_told(log: EventLog, run: Commands) -> None:
    await leave_group(log, GROUP)

    async def told() -> dict[str, Any]:
        [one] = json.loads((await run(groups, "ls", "-o", "json")).stdout)
        return dict(one)

    one = await told()
    assert (one["rate_s"], one["appended_s"], one["eta_s"]) == (0.0, 0.0, None)
    await acknowledge(log, GROUP, *await read(log, GROUP, 4))
    assert (await told())["eta_s"] == 0.0
