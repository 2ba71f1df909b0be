"""Taking a snapshot where it cannot be written: what was taken before stays what it was."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from events import EventLog
from events.archive.whole_file import take_place
from projections.errors import SnapshotError
from projections.replay.folding import Folding
from projections.replay.replay import replay
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings, problem_of, read_snapshot
from projections.snapshots.snapshot_store import Snapshots
from tests.support.appending import Appending, truth
from tests.support.disk import fill, mounted
from tests.support.projectors import settled, store_of


@pytest.fixture
async def appending(log: EventLog) -> Appending:
    appending = Appending(log, 5, [uuid4() for _ in range(6)])
    await appending.run(40)
    return appending


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "32k") as folder:
        yield folder


async def test_a_snapshot_taken_again_on_a_full_disk_leaves_the_one_before_whole(
    log: EventLog, appending: Appending, small_disk: Path
) -> None:
    snapshots = Snapshots(log, 0, SnapshotSettings(str(small_disk)))
    async with settled(log):
        before, _ = await snapshots.take(store_of(log))
        fill(small_disk)

        with pytest.raises(SnapshotError, match="no space left on device; it was not taken"):
            await snapshots.take(store_of(log))

    assert before.verified
    assert snapshots.manifests() == [before]
    assert read_snapshot(snapshots.folder, before, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])
    assert len(list(snapshots.folder.iterdir())) == 2


async def folded(log: EventLog) -> Folding[Any]:
    folding = Folding(ROUTE_TABLE, 0)
    await replay(log, folding)
    return folding


@pytest.mark.parametrize("renamed", [0, 1])
async def test_broken_off_between_the_renames_the_manifest_before_fits_the_file(
    log: EventLog,
    appending: Appending,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    renamed: int,
) -> None:
    snapshots = Snapshots(log, 0, SnapshotSettings(str(tmp_path)))
    before = await snapshots.keep(await folded(log))
    assert before is not None
    rename, left = take_place, [renamed]

    def breaking(temporary: Path, path: Path) -> None:
        if not left[0]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        left[0] -= 1
        rename(temporary, path)

    folding = await folded(log)
    folding.states = dict(reversed(folding.states.items()))
    monkeypatch.setattr("projections.snapshots.snapshot.take_place", breaking)
    with pytest.raises(SnapshotError, match="input/output error"):
        await snapshots.keep(folding)

    assert snapshots.manifests() == [before]
    assert read_snapshot(snapshots.folder, before, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])


async def test_a_folder_that_is_a_file_is_named(
    log: EventLog, appending: Appending, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    snapshots = Snapshots(log, 0, SnapshotSettings(str(tmp_path / "file")))

    with pytest.raises(SnapshotError, match=r"file/.*: not a directory; it was not taken"):
        await snapshots.take(store_of(log))

    assert (tmp_path / "file").read_text() == "in the way"
    assert len(appending.acknowledged) > 6


async def test_a_file_that_is_missing_or_has_another_size_is_said(
    log: EventLog, appending: Appending, tmp_path: Path
) -> None:
    snapshots = Snapshots(log, 0, SnapshotSettings(str(tmp_path)))
    taken, _ = await snapshots.take(store_of(log))
    path = snapshots.folder / taken.file
    assert problem_of(snapshots.folder, taken) is None

    path.write_bytes(path.read_bytes()[:-9])
    told = f"the file has {taken.size_bytes - 9} bytes, {taken.size_bytes} were written"
    assert problem_of(snapshots.folder, taken) == told
    path.unlink()
    assert problem_of(snapshots.folder, taken) == "the file is missing"
    assert len(appending.acknowledged) > 6
