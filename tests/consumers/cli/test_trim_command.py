"""What `routestream streams trim` shows and does."""

import json

import pytest

from consumers.cli.streams.trim import trim
from events.errors import LayoutError
from events.log.log import EventLog, open_log
from events.log.positions import Positions
from tests.consumers.support.commands import Commands
from tests.events.support.old_entries import acknowledge, add_old, create, old_id, read, there

ALONE = ("--without", "archive", "--without", "snapshot")


async def fill(log: EventLog) -> None:
    """Let one group have ended 7 of 10 entries, and another one, with no consumer, 4."""
    await add_old(log, 10)
    await create(log, "readers")
    await acknowledge(log, "readers", *(await read(log, "readers", 9))[:7])
    await create(log, "left", str(old_id(4)))


async def test_the_plan_says_of_every_reader_where_it_stands_and_who_holds_back(
    log: EventLog, run: Commands
) -> None:
    await fill(log)
    await Positions(log.server, log.keys, 0).advance("snapshot:route-table", old_id(5))

    result = await run(trim, "--dry-run", "--without", "archive")

    header, *rows = [line.split() for line in result.stdout.splitlines()]
    assert " ".join(header) == "READER PARTITION STANDS AT KEEPS FROM AGE LETS GO STATE"
    assert [row[:2] for row in rows] == [
        ["archive", "0"],
        ["group:left", "0"],
        ["group:readers", "0"],
        ["snapshot:health-state", "0"],
        ["snapshot:route-table", "0"],
        ["age", "0"],
    ]
    assert "passed over" in result.stdout
    assert result.stderr == (
        "snapshot:health-state holds everything back:"
        " `routestream snapshot take health-state`, or trim without snapshot\n"
    )
    assert len(await there(log)) == 10


async def test_the_plan_as_json(log: EventLog, run: Commands) -> None:
    await fill(log)

    result = await run(trim, "--dry-run", *ALONE, "-o", "json")

    [plan] = json.loads(result.stdout)
    assert (plan["entries"], plan["removed"], plan["cut"]) == (10, 4, str(old_id(4)))
    assert plan["held_by"] == ["group:left"]
    readers = {one["name"]: one for one in plan["readers"]}
    assert readers["group:left"] == {
        "name": "group:left",
        "stands_at": str(old_id(4)),
        "keeps_from": str(old_id(4)),
        "pending": 0,
        "lets_go": 4,
        "is_missing": False,
        "is_dead": True,
        "is_passed_over": False,
    }
    assert (readers["group:readers"]["lets_go"], readers["group:readers"]["pending"]) == (7, 2)


async def test_it_cuts_what_the_plan_says(log: EventLog, run: Commands) -> None:
    await fill(log)

    result = await run(trim, *ALONE, "--yes")

    assert result.exit_code == 0
    stream = log.keys.events(0)
    assert result.stdout.splitlines()[-1] == (
        f"{stream}: 4 entries removed, kept from {old_id(4)} on"
    )
    before, after = f"10 entries from {old_id(0)} on", f"6 entries from {old_id(4)} on"
    at = "2023-11-14 22:13:24 UTC"
    assert f"{stream}: {before} -> {after} ({at})" in result.stderr
    assert (
        f"group:left holds back all from {old_id(4)} on: start its consumers again,"
        in result.stderr
    )
    assert "`routestream groups remove left`" in result.stderr
    assert (await there(log))[0] == old_id(4)
    again = await run(trim, *ALONE, "--yes", "-o", "json")
    assert (again.exit_code, again.stdout) == (0, "[]\n")


async def test_one_partition_is_trimmed_or_all(
    redis_url: str, namespace: str, run: Commands
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=2) as log:
        await add_old(log, 10)
        second = log.keys.events(1)
        for number in range(5):
            await log.server.client.call("XADD", second, f"{number + 1}-0", "name", "stray")

        one = await run(trim, *ALONE, "--partition", "1", "--yes", "-o", "json")
        assert json.loads(one.stdout) == [{"partition": 1, "removed": 4, "cut": "5-0"}]
        assert len(await there(log)) == 10
        rest = await run(trim, *ALONE, "--yes", "-o", "json")
        assert json.loads(rest.stdout) == [{"partition": 0, "removed": 9, "cut": str(old_id(9))}]


async def test_without_a_terminal_and_without_yes_nothing_is_cut(
    log: EventLog, run: Commands
) -> None:
    await fill(log)

    result = await run(trim, *ALONE)

    assert result.exit_code == 2
    assert "add --yes" in result.output
    assert len(await there(log)) == 10


async def test_what_is_young_is_kept(log: EventLog, run: Commands) -> None:
    await log.server.client.call("XADD", log.keys.events(0), "*", "name", "stray")

    result = await run(trim, *ALONE, "--keep", "2m", "--yes")

    assert (result.exit_code, result.stderr) == (0, "nothing to trim\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--keep", "1s"), "keep_s must be at least 120, got 1.0"),
        (("--partition", "1"), "the log has 1"),
        (("--without", "groups"), "'groups' is not one of"),
    ],
)
async def test_wrong_arguments_are_refused(
    log: EventLog, run: Commands, arguments: tuple[str, ...], told: str
) -> None:
    assert log.partitions == 1
    result = await run(trim, *arguments)
    assert result.exit_code == 2
    assert told in result.output


async def test_a_log_without_a_layout_is_not_trimmed(log: EventLog, run: Commands) -> None:
    await add_old(log, 10)
    await log.server.client.call("DEL", log.keys.layout)

    result = await run(trim, *ALONE, "--yes")

    assert isinstance(result.exception, LayoutError)
    assert len(await there(log)) == 10


async def test_a_log_without_entries_has_nothing_to_trim(log: EventLog, run: Commands) -> None:
    assert log.partitions == 1
    result = await run(trim, "--yes")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing was ever appended" in result.stderr
