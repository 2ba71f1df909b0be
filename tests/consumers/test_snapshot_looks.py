"""A trim relies on a snapshot once every projector of the group can read it."""

import os
import shutil
from pathlib import Path

import pytest

from consumers.cli.streams.streams import streams
from consumers.cli.streams.trim import trim
from consumers.processes.retention_process import Retention
from consumers.retention import snapshot_looks
from consumers.retention.settings import RetentionSettings
from consumers.retention.snapshot_looks import SnapshotLooks, looking_for_snapshots
from events import EventLog
from events.entry.entry_id import START, EntryId
from events.log.positions import Positions, snapshot_holder
from events.retention.known_snapshots import DEAD_S, KnownSnapshot, read_known_snapshots
from projections.health_state.health_state import HEALTH_STATE
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings, newest_verified
from projections.snapshots.snapshot_store import Snapshots
from tests.consumers.support.commands import Commands
from tests.consumers.support.examination import examined_log, found
from tests.consumers.support.group_process import processes
from tests.events.support.old_entries import add_old, old_id, there
from tests.support.log_lines import captured_lines
from tests.support.projectors import settled, store_of
from tests.support.running_consumer import append
from tests.support.waiting import wait_until

SETTINGS = RetentionSettings(keep_s=3_600, without_archive=True)
HOLDER = snapshot_holder(ROUTE_TABLE.read_model)


@pytest.fixture
async def taken(log: EventLog, tmp_path: Path) -> EntryId:
    """The position of a verified snapshot in a folder, which nobody has looked for yet."""
    await add_old(log, 10)
    await Positions(log.server, log.keys, 0).advance("snapshot:health-state", old_id(9))
    async with settled(log, ROUTE_TABLE), settled(log, HEALTH_STATE):
        manifest, _ = await snapshots_in(log, tmp_path / "here").take(store_of(log))
    assert manifest.verified
    return manifest.at


def snapshots_in(log: EventLog, folder: Path) -> Snapshots:
    return Snapshots(log, 0, SnapshotSettings(str(folder)))


def looks_in(log: EventLog, folder: Path, process: str) -> SnapshotLooks:
    return SnapshotLooks(log, ROUTE_TABLE, process, [snapshots_in(log, folder)])


async def relied_on(log: EventLog) -> EntryId | None:
    return await Positions(log.server, log.keys, 0).of(HOLDER)


async def known(log: EventLog) -> dict[str, KnownSnapshot]:
    all_known = await read_known_snapshots(log.server.client.call, log.keys, 0)
    return {one.process: one for one in all_known}


async def told_by_trim(run: Commands) -> str:
    run.configure(retention=SETTINGS)
    return (await run(trim, "--dry-run")).stderr


async def test_a_projector_that_cannot_read_the_folder_holds_a_trim(
    log: EventLog, run: Commands, tmp_path: Path, taken: EntryId
) -> None:
    first = looks_in(log, tmp_path / "here", "first")
    second = looks_in(log, tmp_path / "elsewhere", "second")
    assert "no projector runs" in await told_by_trim(run)
    assert await Retention(log, SETTINGS).trim() == 0

    await first.look()
    assert await relied_on(log) == taken
    await second.look()
    await first.look()
    assert await relied_on(log) == START
    with captured_lines() as lines:
        assert await Retention(log, SETTINGS).trim() == 0
    [warned] = [one for one in lines if one["event"] == "trim_held_back"]
    folder = snapshots_in(log, tmp_path / "elsewhere").folder
    why = f"second on {os.uname().nodename} cannot read the snapshot at {taken} in {tmp_path}/here/"
    assert why in warned["what_to_do"]
    assert f"it looks in {folder} (no such file or directory)" in warned["what_to_do"]
    told = await told_by_trim(run)
    assert f"{HOLDER} holds everything back: {why}" in told
    assert "snapshots.directory" in told
    assert why in (await run(streams, "show", "0")).stdout
    finding = found(await examined_log(log), f"snapshots of {ROUTE_TABLE.name}, partition 0")
    assert (finding.severity, why in finding.what) == ("warning", True)

    shutil.copytree(tmp_path / "here", tmp_path / "elsewhere")
    await second.look()
    assert await relied_on(log) == taken
    assert await Retention(log, SETTINGS).trim() == 9
    finding = found(await examined_log(log), f"snapshots of {ROUTE_TABLE.name}, partition 0")
    assert finding.severity == "ok"


async def test_a_process_on_another_folder_holds_a_trim_until_it_has_the_snapshot(
    redis_url: str, log: EventLog, tmp_path: Path, taken: EntryId
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"

    async def both_looked() -> bool:
        return await known(log) != {} and {"first", "second"} <= (await known(log)).keys()

    async def is_relied_on() -> bool:
        return await relied_on(log) == taken

    async with processes(log, redis_url) as start:
        await start.start(ROUTE_TABLE.name, "first", snapshots=str(here))
        second = await start.start(ROUTE_TABLE.name, "second", snapshots=str(elsewhere))
        await wait_until(both_looked, "both have looked")
        assert await relied_on(log) in {None, START}
        assert await Retention(log, SETTINGS).trim() == 0
        shutil.copytree(here, elsewhere)
        await wait_until(is_relied_on, "the second has found it")
        assert await Retention(log, SETTINGS).trim() == 9
        assert await there(log) == [old_id(9)]
        assert await second.stop() == 0
        assert "second" not in await known(log)


async def test_one_that_is_dead_or_has_left_holds_nothing(
    log: EventLog, run: Commands, tmp_path: Path, taken: EntryId
) -> None:
    dead, leaving = (looks_in(log, tmp_path / "nowhere", one) for one in ("dead", "leaving"))
    for looks in (dead, leaving):
        await looks.look()
    notes, field = log.keys.snapshots(0), f"{ROUTE_TABLE.read_model}\ndead"
    noted, _, rest = (await log.server.client.execute_command("HGET", notes, field)).partition(
        b"\n"
    )
    silent_since = int(noted) - round(DEAD_S * 1_000) - 1
    await log.server.client.call("HSET", notes, field, b"%d\n%s" % (silent_since, rest))
    async with looking_for_snapshots(leaving):
        assert "leaving on" in await told_by_trim(run)
    assert "no projector runs" in await told_by_trim(run)

    await looks_in(log, tmp_path / "here", "living").look()
    assert await relied_on(log) == taken


async def test_of_two_folders_the_older_snapshot_counts(
    log: EventLog, tmp_path: Path, taken: EntryId
) -> None:
    await append(log)
    async with settled(log, ROUTE_TABLE):
        newer, _ = await snapshots_in(log, tmp_path / "elsewhere").take(store_of(log))
    assert newer.at > taken
    for folder, process in (("here", "first"), ("elsewhere", "second"), ("here", "first")):
        await looks_in(log, tmp_path / folder, process).look()
        assert await relied_on(log) == taken


async def test_a_snapshot_that_is_cut_off_or_of_another_log_is_none(
    log: EventLog, tmp_path: Path, taken: EntryId
) -> None:
    looks = looks_in(log, tmp_path / "here", "only")
    folder = snapshots_in(log, tmp_path / "here").folder
    assert newest_verified(folder, ROUTE_TABLE, "another") == (None, "")
    await looks.look()
    assert await relied_on(log) == taken
    [states] = folder.glob("*.zst")
    os.truncate(states, states.stat().st_size - 1)
    await looks.look()
    assert await relied_on(log) == START
    assert "bytes" in (await known(log))["only"].place.problem


async def test_a_folder_that_hangs_is_one_that_cannot_be_read(
    log: EventLog, tmp_path: Path, taken: EntryId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_looks, "LOOK_MAX_S", 0.2)
    folder = snapshots_in(log, tmp_path / "here").folder
    hanging = folder / f"{ROUTE_TABLE.name}-v{ROUTE_TABLE.version}-9999999999999-0.manifest.json"
    os.mkfifo(hanging)
    looks = looks_in(log, tmp_path / "here", "only")
    await looks.look()
    await looks.look()  # the thread of the first still hangs: there is no other
    only = (await known(log))["only"]
    assert (only.at, "did not answer" in only.place.problem) == (None, True)
    end = os.open(hanging, os.O_WRONLY)
    hanging.unlink()
    os.close(end)

    async def reads_it() -> bool:
        await looks.look()
        return await relied_on(log) == taken

    await wait_until(reads_it, "it goes on once the folder answers")


@pytest.mark.parametrize("value", [b"", b"\xff", b"x\n1-1\n{}", b"1\n1-1\n" + b"[" * 10_000])
async def test_a_damaged_note_is_left_out(
    log: EventLog, tmp_path: Path, taken: EntryId, value: bytes
) -> None:
    field = f"{ROUTE_TABLE.read_model}\ndamaged"
    await log.server.client.call("HSET", log.keys.snapshots(0), field, value)
    await looks_in(log, tmp_path / "here", "only").look()
    assert await relied_on(log) == taken
    assert {*await known(log)} == {"", "only"}
