"""A log of which the beginning lies in the archive only: replays read both as one."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from consumers.cli.replay.rebuild import replay
from events import EventLog
from events.archive import ArchiveSettings
from events.entry.entry_id import EntryId
from events.errors import TrimmedError
from events.history.history import History
from projections.replay.build import build
from projections.replay.folding import Folding
from projections.replay.rebuild import Rebuild
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.as_of import as_of
from projections.snapshots.snapshot import SnapshotSettings
from projections.snapshots.snapshot_store import Snapshots
from tests.consumers.support.commands import Commands
from tests.events.support.archives import archive_in, run, trim
from tests.support.appending import Appending, truth
from tests.support.projectors import settled, store_of
from tests.support.running_consumer import states


async def archived_half(log: EventLog, folder: Path) -> tuple[Appending, History, EntryId]:
    """Let the first half of a log lie in the archive only."""
    appending = Appending(log, 3, [uuid4() for _ in range(4)])
    await appending.run(40)
    archive = archive_in(folder, log)
    cut = appending.acknowledged[len(appending.acknowledged) // 2].entry_id
    await run(log, archive, cut)
    await trim(log, str(cut))
    await appending.run(10)
    return appending, History(log, archive), cut


async def test_a_read_model_is_built_and_rebuilt_from_archive_and_stream(
    log: EventLog, tmp_path: Path
) -> None:
    appending, history, _ = await archived_half(log, tmp_path)
    await build(history, store_of(log))
    assert await states(log, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])
    async with settled(log):
        done = await Rebuild(history, store_of(log), Folding(ROUTE_TABLE, 0)).run()
    assert done.entries == len(appending.acknowledged)
    assert done.comparison is not None
    assert done.comparison.agrees
    assert await states(log, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])


async def test_an_archive_is_read_also_where_a_loss_is_accepted(
    log: EventLog, tmp_path: Path, namespace: str, redis_url: str
) -> None:
    appending, history, _ = await archived_half(log, tmp_path)
    await build(history, store_of(log))
    commands = Commands(redis_url, namespace)
    commands.configure(archive=ArchiveSettings(location=str(tmp_path)))
    words = ("rebuild", "route-table", "--from-start", "--accept-loss", "--yes", "-o", "json")
    done = await commands(replay, *words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["entries"] == len(appending.acknowledged)
    assert await states(log, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])


async def test_a_moment_that_lies_in_the_archive_can_be_looked_at(
    log: EventLog, tmp_path: Path
) -> None:
    appending, history, cut = await archived_half(log, tmp_path / "archive")
    snapshots = Snapshots(history, 0, SnapshotSettings(str(tmp_path / "snapshots")))
    for place in (0, 10, len(appending.acknowledged) // 2, len(appending.acknowledged) - 1):
        until = appending.acknowledged[place].entry_id
        so_far = Appending(log, 0, ())
        so_far.acknowledged = appending.acknowledged[: place + 1]
        found = await as_of(history, ROUTE_TABLE, snapshots, until)
        assert found.states == truth(ROUTE_TABLE, [so_far])
    assert cut > appending.acknowledged[10].entry_id


async def test_a_snapshot_whose_entry_is_archived_fits(log: EventLog, tmp_path: Path) -> None:
    appending = Appending(log, 3, [uuid4() for _ in range(4)])
    await appending.run(20)
    archive = archive_in(tmp_path / "archive", log)
    history = History(log, archive)
    snapshots = Snapshots(history, 0, SnapshotSettings(str(tmp_path / "snapshots")))
    manifest, _ = await snapshots.take(store_of(log))
    await appending.run(20)
    cut = appending.acknowledged[-5].entry_id
    await run(log, archive, cut)
    await trim(log, str(cut))
    folding = await snapshots.newest(ROUTE_TABLE)
    assert folding.position == manifest.at
    await build(history, store_of(log), folding)
    assert await states(log, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])


async def test_what_neither_stream_nor_archive_has_is_not_made_up(
    log: EventLog, tmp_path: Path
) -> None:
    appending = Appending(log, 3, [uuid4() for _ in range(4)])
    await appending.run(20)
    await trim(log, str(appending.acknowledged[9].entry_id))
    history = History(log, archive_in(tmp_path, log))
    with pytest.raises(TrimmedError):
        await build(history, store_of(log))
    assert await store_of(log).live_generation() is None
