"""What `routestream archive` does, and that every reading command reads the archive too."""

import json
from pathlib import Path

import pytest
from click.testing import Result

from consumers.cli.archive.archive import archive
from consumers.cli.events.tail import events
from events import EventLog
from events.archive import ArchiveSettings
from events.archive.errors import GapError, NoArchiveError
from events.entry.entry_id import EntryId
from events.log.positions import Positions
from tests.consumers.support.commands import Commands
from tests.events.support.archives import add_many, names_in, trim


@pytest.fixture
def run(redis_url: str, namespace: str, tmp_path: Path) -> Commands:
    commands = Commands(redis_url, namespace)
    settings = ArchiveSettings(location=str(tmp_path), segment_entries_max=10)
    commands.configure(archive=settings)
    return commands


async def archived(run: Commands, *arguments: str) -> Result:
    result = await run(archive, "run", "--to", "end", "--yes", *arguments)
    assert result.exit_code == 0, result.output
    return result


def ids(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [json.loads(line)["entry_id"] for line in result.stdout.splitlines()]


async def test_a_run_says_what_it_will_do_and_what_it_did(log: EventLog, run: Commands) -> None:
    await add_many(log, 25)

    refused = await run(archive, "run", "--to", "end")
    assert refused.exit_code == 2
    assert "archived up to 0-0 -> up to 25-0" in refused.stderr
    assert names_in(Path(run.deployment.settings.archive.location or "")) == []

    written = [
        json.loads(line) for line in (await archived(run, "-o", "jsonl")).stdout.splitlines()
    ]
    assert [(one["first"], one["last"], one["count"]) for one in written] == [
        ("1-0", "10-0", 10),
        ("11-0", "20-0", 10),
        ("21-0", "25-0", 5),
    ]
    assert "nothing was to be archived" in (await archived(run)).stderr


async def test_only_what_is_old_enough_is_archived_unless_said_otherwise(
    log: EventLog, run: Commands
) -> None:
    await add_many(log, 5)
    await log.server.client.call("XADD", log.keys.events(0), "*", "name", "new")

    result = await run(archive, "run", "--yes", "-o", "jsonl")

    [written] = map(json.loads, result.stdout.splitlines())
    assert (written["last"], written["count"]) == ("5-0", 5)


async def test_the_segments_are_listed_with_their_times_sizes_and_state(
    log: EventLog, run: Commands, tmp_path: Path
) -> None:
    await add_many(log, 15)
    await archived(run)

    header, *rows = (await run(archive, "ls")).stdout.splitlines()
    assert header.split() == [
        *("PARTITION", "FIRST", "LAST", "FROM", "UNTIL", "ENTRIES", "SIZE", "STORED", "RATIO"),
        "STATE",
    ]
    assert [row.split()[-1] for row in rows] == ["ok", "ok"]
    (folder,) = (tmp_path / log.keys.namespace).iterdir()
    next(folder.glob("1-0_*")).unlink()
    first, second = json.loads((await run(archive, "ls", "-o", "json")).stdout)
    assert first["problem"] == "the file is missing"
    assert (second["first"], second["count"], second["problem"]) == ("11-0", 5, None)
    assert second["first_at"] == "1970-01-01T00:00:00.011000+00:00"
    assert second["ratio"] > 0


async def test_a_check_finds_damage_and_ends_with_one(
    log: EventLog, run: Commands, tmp_path: Path
) -> None:
    await add_many(log, 15)
    await archived(run)
    (folder,) = (tmp_path / log.keys.namespace).iterdir()
    (folder / "left-over.tmp").write_bytes(b"")
    whole = await run(archive, "check")
    assert whole.exit_code == 0
    assert "no manifest names left-over.tmp" in whole.stderr

    path = next(folder.glob("11-0_*"))
    path.write_bytes(path.read_bytes()[:-1])
    damaged = await run(archive, "check")
    assert damaged.exit_code == 1
    assert f"damaged: {folder}: 11-0_15-0" in damaged.stderr
    assert "; restore the file from a copy" in damaged.stderr
    assert "do not delete them" in damaged.stderr

    (folder / "manifest.json").write_bytes(b"{")
    damaged = await run(archive, "check")
    assert damaged.exit_code == 1
    assert "nothing is archived" not in damaged.stderr
    assert f"damaged: {folder}: manifest of partition 0: " in damaged.stderr
    assert "restore manifest.json from a copy, and delete no file there" in damaged.stderr
    assert "do not delete them" in damaged.stderr


async def test_a_manifest_that_lost_its_end_is_noticed_by_what_the_log_claims(
    log: EventLog, run: Commands, tmp_path: Path
) -> None:
    await add_many(log, 10)
    await archived(run)
    manifest = tmp_path / log.keys.namespace / "0" / "manifest.json"
    before = manifest.read_bytes()
    await add_many(log, 10, begin=11)
    await archived(run)
    manifest.write_bytes(before)

    result = await run(archive, "check")

    assert result.exit_code == 1
    assert "archived up to 20-0, this archive ends at 10-0" in result.stderr


@pytest.mark.parametrize("known", ["known", "unknown"])
async def test_without_a_manifest_nobody_is_told_to_delete_the_segments(
    log: EventLog, run: Commands, tmp_path: Path, known: str
) -> None:
    await add_many(log, 15)
    await archived(run)
    (tmp_path / log.keys.namespace / "0" / "manifest.json").unlink()
    if known == "unknown":
        await Positions(log.server, log.keys, 0).forget("archive")

    result = await run(archive, "check")

    assert result.exit_code == (1 if known == "known" else 0)
    assert "may be deleted" not in result.stderr
    assert "nothing is archived" not in result.stderr
    assert "no manifest names what lies in" in (await run(archive, "ls")).stderr
    assert "no manifest names 1-0_10-0" in result.stderr
    assert "(2 in all); do not delete them: the manifest may be lost" in result.stderr


async def test_a_run_to_the_wrong_place_says_so_in_its_plan_and_sets_nothing_back_before_it_fails(
    log: EventLog, run: Commands, tmp_path: Path
) -> None:
    await add_many(log, 15)
    await archived(run)
    await trim(log, 5)
    positions = Positions(log.server, log.keys, 0)

    failed = await run(
        archive, "run", "--to", "end", "--yes", "--location", str(tmp_path / "other")
    )

    assert isinstance(failed.exception, GapError)
    assert "says it is archived: 15-0 -> set back to 0-0" in failed.stderr
    assert await positions.of("archive") == EntryId(15, 0)
    await archived(run, "--location", str(tmp_path / "other"), "--accept-gap")
    assert await positions.of("archive") == EntryId(15, 0)


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
async def test_a_run_tells_the_chain_that_the_manifest_has(
    log: EventLog, run: Commands, form: str
) -> None:
    await add_many(log, 15)

    told = (await archived(run, "-o", form)).stdout

    listed = json.loads((await run(archive, "ls", "-o", "json")).stdout)
    assert len(listed) == 2
    assert all(len(one["chain"]) == 64 and one["chain"] in told for one in listed)


async def test_a_gap_is_an_error_until_it_is_accepted(log: EventLog, run: Commands) -> None:
    await add_many(log, 10)
    await trim(log, 4)

    failed = await run(archive, "run", "--to", "end", "--yes")
    assert failed.exit_code == 1
    assert "3 entries after 0-0 and before 4-0" in str(failed.exception)

    await archived(run, "--accept-gap")
    gap, segment = json.loads((await run(archive, "ls", "-o", "json")).stdout)
    assert (gap["kind"], gap["after"], gap["until"], gap["count"]) == ("gap", "0-0", "4-0", 3)
    assert segment["first"] == "4-0"


async def test_without_a_place_the_command_says_how_to_name_one(
    redis_url: str, namespace: str, tmp_path: Path
) -> None:
    run = Commands(redis_url, namespace)

    assert isinstance((await run(archive, "ls")).exception, NoArchiveError)
    assert (await run(archive, "ls", "--location", "ftp://x")).exit_code == 2
    assert (await run(archive, "ls", "--location", str(tmp_path))).exit_code == 0
    assert names_in(tmp_path) == []


async def test_every_reading_command_reads_over_the_seam(log: EventLog, run: Commands) -> None:
    await add_many(log, 25)
    await archived(run)
    await trim(log, 23)
    await add_many(log, 3, begin=26)
    all_ids = [f"{ms}-0" for ms in range(1, 29)]

    assert ids(await run(events, "tail", "-o", "jsonl", "--from", "start")) == all_ids
    assert (
        ids(await run(events, "tail", "-o", "jsonl", "--from", "9-0", "-n", "4")) == all_ids[8:12]
    )
    for count in (3, 6, 9, 20, 28):
        tail = await run(events, "tail", "-o", "jsonl", "-n", str(count))
        assert ids(tail) == all_ids[-count:]
        assert tail.stderr == ""
    assert ids(await run(events, "show", "7-0", "-o", "jsonl")) == ["7-0"]
    assert (await run(events, "show", "7-1")).exit_code == 3


async def test_a_reading_command_says_what_is_missing_and_goes_on(
    log: EventLog, run: Commands
) -> None:
    await add_many(log, 10)
    await archived(run)
    await add_many(log, 10, begin=11)
    await trim(log, 16)

    for arguments in (("--from", "start"), ("-n", "20")):
        told = await run(events, "tail", "-o", "jsonl", *arguments)
        assert ids(told) == [f"{ms}-0" for ms in (*range(1, 11), *range(16, 21))]
        assert "note: partition 0: 5 entries after 10-0 and before 16-0" in told.stderr
