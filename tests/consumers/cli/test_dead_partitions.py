"""What `routestream dead` shows and does where ids coincide on several partitions."""

import json
from collections.abc import AsyncIterator

import click
import pytest

from consumers.cli.dead.dead import dead
from consumers.cli.dead.requeue import drop_dead, requeue_dead
from events.log.log import EventLog, open_log
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands

GROUP = ROUTE_TABLE.name
DEAD_ID, ENTRY_ID = "1769896800500-0", "1769896800123-0"
LETTER = (
    *("dead_entry_id", ENTRY_ID, "dead_reason", "undecodable", "dead_error", "", "dead_deliveries"),
    *("1", "dead_consumer", "c-1", "dead_first_at", "2026-01-31T22:00:00+00:00"),
    *("dead_last_at", "2026-01-31T22:00:01+00:00", "stray", "field"),
)


@pytest.fixture
async def two(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    """Two partitions, on both of which one group has given up on one id, under one id."""
    async with open_log(redis_url, namespace=namespace, partitions=2) as log:
        for partition in range(2):
            stream, group = log.keys.events(partition), ("XGROUP", "CREATE")
            await log.server.client.call("XADD", stream, ENTRY_ID, "stray", "field")
            await log.server.client.call(*group, stream, GROUP, "$")
            await log.server.client.call("XADD", log.keys.dead(partition, GROUP), DEAD_ID, *LETTER)
        yield log


async def left(log: EventLog) -> list[int]:
    keys = [log.keys.dead(partition, GROUP) for partition in range(log.partitions)]
    return [await log.server.client.execute_command("XLEN", key) for key in keys]


@pytest.mark.usefixtures("two")
async def test_a_list_tells_on_which_partition_each_lies(run: Commands) -> None:
    header, *rows = await run.lines(dead, "ls")
    assert header.startswith("DEAD ID  GROUP  PARTITION  ENTRY")
    assert [row.split()[2] for row in rows] == ["0", "1"]

    [only] = json.loads((await run(dead, "ls", "--partition", "1", "-o", "json")).stdout)
    assert only["partition"] == 1
    assert (await run(dead, "ls", "--partition", "2")).exit_code == 2


async def test_with_one_partition_only_a_wide_list_tells_it(log: EventLog, run: Commands) -> None:
    await log.server.client.call("XADD", log.keys.dead(0, GROUP), DEAD_ID, *LETTER)
    assert "PARTITION" not in (await run(dead, "ls")).stdout
    assert "PARTITION" in (await run(dead, "ls", "-o", "wide")).stdout


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("some_id", [DEAD_ID, ENTRY_ID])
async def test_show_asks_which_partition_and_takes_the_answer(run: Commands, some_id: str) -> None:
    asked = await run(dead, "show", some_id, "--group", GROUP)
    assert asked.exit_code == 2
    assert f"{DEAD_ID} of {GROUP}, partition 1: say which one" in " ".join(asked.output.split())
    assert "--partition" in asked.output

    shown = await run(dead, "show", some_id, "--partition", "1")
    assert shown.exit_code == 0, shown.output
    assert f"{GROUP}, partition 1" in shown.stdout
    assert f"dead requeue {GROUP} --partition 1 --ids {DEAD_ID}" in shown.stderr


@pytest.mark.parametrize("command", [requeue_dead, drop_dead])
@pytest.mark.parametrize("meant", [("--ids", DEAD_ID), ("--all",)])
async def test_only_those_of_the_partition_that_is_named_are_ended(
    two: EventLog, run: Commands, command: click.Command, meant: tuple[str, ...]
) -> None:
    result = await run(command, GROUP, *meant, "--partition", "1", "--yes")
    assert result.exit_code == 0, result.output
    assert "partition 0" not in result.stderr
    assert await left(two) == [1, 0]


@pytest.mark.parametrize("command", [requeue_dead, drop_dead])
async def test_a_partition_alone_does_not_say_which_ones(
    two: EventLog, run: Commands, command: click.Command
) -> None:
    assert (await run(command, GROUP, "--partition", "1", "--yes")).exit_code == 2
    assert await left(two) == [1, 1]
