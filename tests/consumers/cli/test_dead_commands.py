"""What `routestream dead` shows and does."""

import json
from typing import Any

import anyio
import pytest

from consumers.cli.dead.dead import dead
from consumers.cli.dead.requeue import drop_dead, requeue_dead
from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.dead_letters import DeadLetters
from consumers.runtime.projector import Projector
from events import EventLog
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.chat import append
from tests.consumers.support.commands import Commands
from tests.support.waiting import wait_until

TRUNCATED = "route_started: Input data was truncated"
GARBAGE: list[tuple[str | bytes, ...]] = [
    ("name", "route_started", "payload", "{", "raw", b"\xff"),
    ("name", "told_later", "payload", "{}"),
    ("stray", "field"),
]


async def project(log: EventLog, garbage: list[tuple[str | bytes, ...]], dead_letters: int) -> None:
    """Run a projector until its group has given up on what is wrong, and stop it."""
    settings = ConsumerSettings(block_ms=100)
    projector = Projector(log, ROUTE_TABLE, 0, settings.policy)
    consumer = Consumer(log, 0, (ROUTE_TABLE.name, "c-1"), projector, settings)
    client, dead_key = log.server.client, log.keys.dead(0, ROUTE_TABLE.name)

    async def is_there() -> bool:
        return bool(await client.execute_command("XINFO GROUPS", log.keys.events(0)))

    async def all_dead() -> bool:
        return int(await client.execute_command("XLEN", dead_key)) == dead_letters

    await append(log, 1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consumer.run)
        await wait_until(is_there, "the group is created")
        for fields in garbage:
            await client.call("XADD", log.keys.events(0), "*", *fields)
        await wait_until(all_dead, "the entries are dead letters")
        await consumer.stop()


async def test_dead_letters_are_listed_with_why_they_were_given_up_on(
    log: EventLog, run: Commands
) -> None:
    await project(log, GARBAGE, dead_letters=2)
    assert await run.lines(dead, "ls") == [
        "DEAD ID  GROUP  ENTRY  TYPE  ENDPOINT  REASON  ERROR  DELIVERIES  REQUEUED  LAST TRY",
        f"ID  route-table  ID  route_started  ?  undecodable  {TRUNCATED}  1  AGE",
        "ID  route-table  ID  ?  ?  undecodable  the entry has no name  1  AGE",
    ]
    result = await run(dead, "ls", "route-table", "-o", "json")
    broken, stray = json.loads(result.stdout)
    assert broken["fields"] == {"name": "route_started", "payload": "{", "raw": {"base64": "/w=="}}
    assert (broken["reason"], broken["deliveries"], broken["consumer"]) == ("undecodable", 1, "c-1")
    assert stray["fields"] == {"stray": "field"}
    newest = await run(dead, "ls", "-n", "1", "-o", "jsonl")
    assert json.loads(newest.stdout) == stray


async def test_dead_letters_of_a_group_that_is_gone_are_still_found_by_its_name(
    log: EventLog, run: Commands
) -> None:
    await project(log, [("stray", "field")], dead_letters=1)
    dead_key = log.keys.dead(0, ROUTE_TABLE.name)
    await log.server.client.call("RENAME", dead_key, log.keys.dead(0, "once"))
    result = await run(dead, "ls", "once", "-o", "json")
    assert [one["group"] for one in json.loads(result.stdout)] == ["once"]
    assert [letter async for letter in DeadLetters(log.server, log.keys, 0, "once").read()]


async def test_without_dead_letters_there_are_none_to_show(run: Commands) -> None:
    result = await run(dead, "ls")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("no dead letters\n")
    assert (await run(dead, "ls", "route-table", "-o", "json")).stdout == "[]\n"


async def test_dead_letters_of_a_group_nobody_knows_are_not_found(run: Commands) -> None:
    result = await run(dead, "ls", "route-tabel")
    assert result.exit_code == 3
    assert "route-table" in result.stderr


async def letters(run: Commands, *arguments: str) -> list[dict[str, Any]]:
    result = await run(dead, "ls", "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout))


async def test_filters_leave_out_what_is_not_meant(log: EventLog, run: Commands) -> None:
    await project(log, GARBAGE, dead_letters=2)
    broken, stray = await letters(run)

    for arguments, expected in (
        (("--type", "route_*"), [broken]),
        (("--error", "TRUNCATED"), [broken]),
        (("--error", "no name"), [stray]),
        (("--ids", stray["dead_id"]), [stray]),
        (("--ids", f"{broken['dead_id']},{stray['dead_id']}"), [broken, stray]),
        (("--entries", broken["entry_id"]), [broken]),
        (("--entries", broken["entry_id"], "--ids", stray["dead_id"]), []),
        (("--from", stray["dead_id"]), [stray]),
        (("--to", broken["dead_id"]), [broken]),
        (("--from", "-1h"), [broken, stray]),
        (("--to", "-1h"), []),
        (("--endpoint", "7ccd"), []),
        (("--group", "route-table"), [broken, stray]),
        (("health-state",), []),
        (("--error", "a", "-n", "1"), [stray]),
    ):
        assert await letters(run, *arguments) == expected, arguments


async def test_show_prints_one_with_all_that_its_entry_held(log: EventLog, run: Commands) -> None:
    await project(log, GARBAGE, dead_letters=2)
    [broken, _] = await letters(run)

    shown = await run(dead, "show", broken["dead_id"])

    assert shown.exit_code == 0
    words = " ".join(shown.stdout.split())
    assert f"entry {broken['entry_id']}, " in words
    assert "reason undecodable error route_started: Input data was truncated" in words
    assert "field raw base64 /w==" in words
    assert f"routestream dead requeue route-table --ids {broken['dead_id']}" in shown.stderr
    as_json = await run(dead, "show", broken["dead_id"], "-o", "json")
    assert json.loads(as_json.stdout) == broken


async def test_show_of_what_two_groups_gave_up_on_asks_which(log: EventLog, run: Commands) -> None:
    await project(log, [("stray", "field")], dead_letters=1)
    client = log.server.client
    await client.call("COPY", log.keys.dead(0, "route-table"), log.keys.dead(0, "health-state"))
    [first, _] = await letters(run)

    asked = await run(dead, "show", first["dead_id"])
    assert asked.exit_code == 2
    assert "of health-state" in asked.output
    assert "of route-table" in asked.output
    assert (await run(dead, "show", first["dead_id"], "--group", "health-state")).exit_code == 0
    by_entry = await run(dead, "show", first["entry_id"], "--group", "route-table", "-o", "json")
    assert json.loads(by_entry.stdout)["dead_id"] == first["dead_id"]
    assert (await run(dead, "show", "1-1")).exit_code == 3
    assert (await run(dead, "show", "one")).exit_code != 0


async def test_a_dry_run_shows_what_is_meant_and_changes_nothing(
    log: EventLog, run: Commands
) -> None:
    await project(log, GARBAGE, dead_letters=2)
    [broken, stray] = await letters(run)

    for command in (requeue_dead, drop_dead):
        result = await run(command, "--type", "route_*", "--dry-run", "-o", "json")
        assert json.loads(result.stdout) == [broken]
    assert await letters(run) == [broken, stray]


async def test_requeue_makes_an_entry_pending_again_under_its_own_id(
    log: EventLog, run: Commands
) -> None:
    await project(log, GARBAGE, dead_letters=2)
    [broken, stray] = await letters(run)

    result = await run(requeue_dead, "route-table", "--error", "no name", "--yes")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        "route-table, partition 0: 1 dead (undecodable: 1) -> pending again",
        "1 requeued",
    ]
    assert await letters(run) == [broken]
    raw = await log.server.client.execute_command(
        "XPENDING", log.keys.events(0), "route-table", "-", "+", 9
    )
    assert [entry_id.decode() for entry_id, *_ in raw] == [stray["entry_id"]]


async def test_requeue_as_json_tells_of_each_what_became_of_it(
    log: EventLog, run: Commands
) -> None:
    await project(log, GARBAGE, dead_letters=2)
    [broken, stray] = await letters(run)
    await log.server.client.call("XDEL", log.keys.events(0), stray["entry_id"])

    result = await run(requeue_dead, "--all", "--yes", "-o", "jsonl")

    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["dead_id"], one["outcome"], one["requeued"]) for one in told] == [
        (broken["dead_id"], "requeued", 1),
        (stray["dead_id"], "trimmed", None),
    ]
    assert result.exit_code == 1
    assert "1 stay dead letters, their entries are not in the log any more" in result.output
    assert await letters(run) == [stray]


async def test_a_limit_takes_the_oldest_and_says_so(log: EventLog, run: Commands) -> None:
    await project(log, GARBAGE, dead_letters=2)
    [_, stray] = await letters(run)

    result = await run(drop_dead, "--all", "--limit", "1", "--yes")

    assert "these are the oldest 1, there may be more" in result.stderr
    assert await letters(run) == [stray]


async def test_drop_deletes_what_is_meant_and_keeps_who_did_it(
    log: EventLog, run: Commands
) -> None:
    await project(log, GARBAGE, dead_letters=2)
    [broken, stray] = await letters(run)

    asked = await run(drop_dead, "--ids", broken["dead_id"])
    assert asked.exit_code == 2
    assert await letters(run) == [broken, stray]
    result = await run(drop_dead, "--ids", broken["dead_id"], "--reason", "no use", "--yes")

    assert result.stderr.splitlines()[-1] == "1 dropped"
    assert await letters(run) == [stray]
    [[_, flat]] = await log.server.client.execute_command(
        "XRANGE", log.keys.operations(0), "-", "+"
    )
    told = dict(zip(flat[::2], flat[1::2], strict=True))
    assert (told[b"group"], told[b"what"], told[b"reason"]) == (
        b"route-table",
        b"dead drop",
        b"no use",
    )
    assert b"@" in told[b"who"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("route-table",),
        ("--reason", "no use", "route-table"),
        ("--all", "route-table", "--error", "no name"),
        ("route-table", "--group", "health-state"),
        ("--type", "no_such_type"),
        ("--all", "--limit", "0"),
    ],
)
async def test_what_is_not_clear_is_refused(run: Commands, arguments: tuple[str, ...]) -> None:
    for command in (requeue_dead, drop_dead):
        assert (await run(command, *arguments, "--yes")).exit_code == 2


async def test_without_dead_letters_there_is_nothing_to_do(run: Commands) -> None:
    for command in (requeue_dead, drop_dead):
        result = await run(command, "--all", "--yes")
        assert (result.exit_code, result.stderr) == (0, "no dead letters\n")


async def test_ids_that_are_nowhere_are_not_found_and_nothing_is_changed(
    log: EventLog, run: Commands
) -> None:
    await project(log, GARBAGE, dead_letters=2)
    [broken, stray] = await letters(run)

    for command in (requeue_dead, drop_dead):
        for ids in ("1-1", f"{broken['dead_id']},1-1"):
            result = await run(command, "route-table", "--ids", ids, "--yes")
            assert (result.exit_code, result.stdout) == (3, "")
            assert "no such dead letter of group 'route-table': 1-1;" in result.stderr
        other = await run(command, "--ids", stray["dead_id"], "--error", "truncated", "--yes")
        assert (other.exit_code, other.stderr) == (0, "no dead letters\n")
    both = f"{broken['dead_id']},{stray['dead_id']}"
    assert (await run(drop_dead, "--ids", both, "--limit", "1", "--yes")).exit_code == 0
    assert await letters(run) == [stray]


async def test_dead_letters_of_a_group_that_is_gone_cannot_be_tried(
    log: EventLog, run: Commands
) -> None:
    await project(log, [("stray", "field")], dead_letters=1)
    await log.server.client.call("XGROUP", "DESTROY", log.keys.events(0), "route-table")

    result = await run(requeue_dead, "--all", "--yes")

    assert result.exit_code == 3
    assert "start its consumers first" in result.output
    assert len(await letters(run)) == 1


async def test_what_others_wrote_among_the_dead_letters_is_listed_and_can_be_dropped(
    log: EventLog, run: Commands
) -> None:
    dead_key = log.keys.dead(0, ROUTE_TABLE.name)
    await log.server.client.call("XADD", dead_key, "5-0", "what", "a stranger wrote")
    letter = ["dead_entry_id", "soon", "dead_reason", "", "dead_error", "", "dead_deliveries", "1"]
    letter += ["dead_consumer", "c", "dead_first_at", "", "dead_last_at", ""]
    await log.server.client.call("XADD", dead_key, "6-0", *letter)

    told = json.loads((await run(dead, "ls", "-o", "json")).stdout)
    assert [(one["dead_id"], one["entry_id"], one["reason"]) for one in told] == [
        ("5-0", "0-0", "unreadable"),
        ("6-0", "0-0", "unreadable"),
    ]
    assert told[0]["fields"] == {"what": "a stranger wrote"}
    kept = await run(requeue_dead, ROUTE_TABLE.name, "--all", "--yes")
    assert kept.exit_code != 0
    dropped = await run(drop_dead, ROUTE_TABLE.name, "--all", "--yes")
    assert dropped.stderr.endswith("2 dropped\n")
    assert await log.server.client.execute_command("XLEN", dead_key) == 0
