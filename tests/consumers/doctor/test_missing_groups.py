"""What is counted where one partition does not have a group that the others have."""

from collections.abc import AsyncIterator

import pytest

from consumers.cli.doctor.check import check
from events import EventLog, open_log
from tests.consumers.support.commands import Commands
from tests.consumers.support.examination import examined_log, found

GROUP = "billing"
DEAD = f"dead letters of {GROUP}, partition 1"


@pytest.fixture
async def log(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(redis_url, namespace=namespace, partitions=2, source="test") as opened:
        yield opened


async def add(log: EventLog, count: int) -> list[bytes]:
    key = log.keys.events(1)
    return [
        await log.server.client.execute_command("XADD", key, "*", "name", "x") for _ in range(count)
    ]


async def create(log: EventLog, group: str, *partitions: int) -> None:
    for partition in partitions:
        key = log.keys.events(partition)
        await log.server.client.call("XGROUP", "CREATE", key, group, "0", "MKSTREAM")


async def bury(log: EventLog, group: str, reason: str) -> None:
    await log.server.client.call("XADD", log.keys.dead(1, group), "*", "dead_reason", reason)


@pytest.mark.parametrize("lost", ["group", "stream"])
async def test_dead_letters_count_where_their_group_or_its_stream_is_gone(
    log: EventLog, run: Commands, lost: str
) -> None:
    await create(log, GROUP, 0, 1)
    await bury(log, GROUP, "unprocessable")
    await bury(log, GROUP, "unprocessable")
    expected = found(await examined_log(log), DEAD)
    assert (expected.severity, expected.figure) == ("warning", "2")
    if lost == "group":
        await log.server.client.call("XGROUP", "DESTROY", log.keys.events(1), GROUP)
    else:
        await log.server.client.call("DEL", log.keys.events(1))
    assert found(await examined_log(log), DEAD) == expected
    for options in ([], ["--group", GROUP]):
        assert " dead=2;" in (await run(check, *options)).stdout


async def test_a_group_of_which_only_its_position_is_left_is_known_to_a_check(
    log: EventLog, run: Commands
) -> None:
    [entry_id] = await add(log, 1)
    await log.server.client.call("HSET", log.keys.positions(1), f"group:{GROUP}", entry_id)
    await bury(log, GROUP, "unprocessable")
    checked = await run(check, "--group", GROUP)
    assert checked.exit_code == 1, checked.stdout
    assert checked.stdout.startswith("WARNING - dead is 1|")


async def test_losses_are_told_where_their_group_is_missing(log: EventLog) -> None:
    await create(log, GROUP, 0)
    await log.server.client.call("HSET", log.keys.lost(1), GROUP, "3")
    finding = found(await examined_log(log), f"loss of {GROUP}, partition 1")
    assert finding.figure == "3, last noticed at an unknown time"


async def test_what_waits_for_a_shipped_group_that_is_missing_is_its_lag(
    log: EventLog, run: Commands
) -> None:
    async def lag() -> str:
        checked = await run(check, "--group", "route-table")
        return checked.stdout.partition("|lag=")[2].partition(";")[0]

    entries = await add(log, 5)
    await create(log, "route-table", 0)
    assert await lag() == "5"
    keep = ("HSET", log.keys.positions(1), "group:route-table")
    await log.server.client.call(*keep, entries[2])
    assert await lag() == "2"
    await log.server.client.call(*keep, "9999999999999-0")
    assert await lag() == "5"
    await create(log, "route-table", 1)
    assert await lag() == "5"


async def test_a_group_of_others_has_no_lag_where_it_never_was(
    log: EventLog, run: Commands
) -> None:
    await create(log, GROUP, 0)
    await add(log, 1)
    assert "|lag=0;" in (await run(check, "--group", GROUP)).stdout
