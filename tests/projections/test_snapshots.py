"""Snapshots: taken by a fold of their own, checked, refused where they are wrong or damaged."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from events import END, START, EventLog
from events.retention.known_snapshots import read_known_snapshots
from projections.errors import (
    DamagedSnapshotError,
    HistoryMissingError,
    NoSnapshotError,
    SnapshotError,
    WrongSnapshotError,
)
from projections.health_state.health_state import HEALTH_STATE
from projections.projection import Projection
from projections.replay.build import build
from projections.replay.folding import Folding
from projections.replay.rebuild import Rebuild
from projections.replay.replay import replay
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.manifest import SnapshotManifest, read_manifest
from projections.snapshots.snapshot import checksum_at, newest_verified, read_snapshot
from projections.snapshots.snapshot_store import Snapshots
from tests.support.appending import Appending, truth
from tests.support.histories import PROJECTIONS, E
from tests.support.projectors import settled, store_of
from tests.support.read_model import live_documents
from tests.support.running_consumer import documents, states

of_each = pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)


@pytest.fixture
async def appending(log: EventLog) -> Appending:
    appending = Appending(log, 5, [uuid4() for _ in range(6)])
    await appending.run(40)
    return appending


@of_each
async def test_a_snapshot_is_what_happened(
    log: EventLog, snapshots: Snapshots, appending: Appending, projection: Projection[Any]
) -> None:
    async with settled(log, projection):
        manifest, comparison = await snapshots.take(store_of(log, projection))
    assert comparison is not None
    assert comparison.agrees
    assert manifest.verified
    assert manifest.at == appending.acknowledged[-1].entry_id
    assert manifest.documents == 6
    assert read_snapshot(snapshots.folder, manifest, projection) == truth(projection, [appending])
    [noted] = await read_known_snapshots(log.server.client.call, log.keys, 0)
    assert (noted.read_model, noted.process) == (projection.name, "")
    assert (noted.at, noted.place.folder) == (manifest.at, str(snapshots.folder))
    assert snapshots.manifests() == [manifest]


async def test_a_snapshot_that_differs_from_what_is_live_lets_nothing_be_trimmed(
    log: EventLog, snapshots: Snapshots, appending: Appending
) -> None:
    async with settled(log):
        pass
    endpoint, (revision, right) = next(iter((await documents(log, ROUTE_TABLE)).items()))
    wrong = msgspec.structs.replace(right, name="another")
    await log.server.client.call(
        *("HSET", await live_documents(log, ROUTE_TABLE.name), str(endpoint)),
        ROUTE_TABLE.encode(wrong, revision),
    )
    manifest, comparison = await snapshots.take(store_of(log))
    assert comparison is not None
    assert [one.endpoint_id for one in comparison.mismatches] == [endpoint]
    assert manifest.verified is False
    assert read_snapshot(snapshots.folder, manifest, ROUTE_TABLE)[endpoint] == right
    assert await read_known_snapshots(log.server.client.call, log.keys, 0) == []
    found, _ = newest_verified(snapshots.folder, ROUTE_TABLE, await snapshots.identity())
    assert found is None
    assert len(appending.acknowledged) > 6


async def test_a_fold_begins_with_the_newest_snapshot_that_is_not_too_new(
    log: EventLog, snapshots: Snapshots, appending: Appending
) -> None:
    first, _ = await snapshots.take(store_of(log))
    await appending.run(40)
    between = appending.acknowledged[-20].entry_id
    second, _ = await snapshots.take(store_of(log))
    assert (await snapshots.newest(ROUTE_TABLE)).position == second.at
    folding = await snapshots.newest(ROUTE_TABLE, between)
    assert folding.position == first.at
    done = await Rebuild(log, store_of(log), await snapshots.newest(ROUTE_TABLE)).run()
    assert done.entries == 0
    assert await states(log, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def changed(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x10
    path.write_bytes(raw)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "damage", [cut_off, changed, emptied, Path.unlink], ids=lambda d: d.__name__
)
async def test_a_damaged_snapshot_is_refused_and_an_older_one_taken_instead(
    log: EventLog, snapshots: Snapshots, appending: Appending, damage: Callable[[Path], None]
) -> None:
    first, _ = await snapshots.take(store_of(log))
    await appending.run(10)
    second, _ = await snapshots.take(store_of(log))
    damage(snapshots.folder / second.file)
    with pytest.raises(DamagedSnapshotError, match=second.file):
        await snapshots.load(second, ROUTE_TABLE)
    assert (await snapshots.newest(ROUTE_TABLE)).position == first.at


@pytest.mark.parametrize("damage", [cut_off, emptied], ids=lambda d: d.__name__)
async def test_what_the_checksum_cannot_know_is_found_by_reading(
    log: EventLog, snapshots: Snapshots, appending: Appending, damage: Callable[[Path], None]
) -> None:
    manifest, _ = await snapshots.take(store_of(log))
    path = snapshots.folder / manifest.file
    damage(path)
    forged = msgspec.structs.replace(
        manifest, size_bytes=path.stat().st_size, sha256=checksum_at(path)
    )
    with pytest.raises(DamagedSnapshotError, match=manifest.file):
        read_snapshot(snapshots.folder, forged, ROUTE_TABLE)
    assert len(appending.acknowledged) > 6


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"projection": "health-state"}, "projection is 'health-state'"),
        ({"version": 2}, "version is 2"),
        ({"format": 9}, "format is 9"),
        ({"namespace": "other"}, "namespace is 'other'"),
        ({"partitions": 4}, "partitions is 4"),
        ({"partition": 1}, "partition is 1"),
        ({"position": "1-1"}, "is not in this log"),
    ],
)
async def test_a_snapshot_of_something_else_is_refused(
    snapshots: Snapshots, log: EventLog, appending: Appending, change: dict[str, Any], told: str
) -> None:
    manifest, _ = await snapshots.take(store_of(log))
    with pytest.raises(WrongSnapshotError, match=told):
        await snapshots.load(msgspec.structs.replace(manifest, **change), ROUTE_TABLE)
    assert len(appending.acknowledged) > 6


async def test_two_files_that_were_mixed_up_are_told_apart(
    log: EventLog, snapshots: Snapshots, appending: Appending
) -> None:
    first, _ = await snapshots.take(store_of(log))
    await appending.run(5)
    second, _ = await snapshots.take(store_of(log))
    mixed = msgspec.structs.replace(
        first, file=second.file, size_bytes=second.size_bytes, sha256=second.sha256
    )
    with pytest.raises(DamagedSnapshotError, match="not what its manifest says"):
        read_snapshot(snapshots.folder, mixed, ROUTE_TABLE)


async def test_a_damaged_manifest_is_passed_over(
    log: EventLog, snapshots: Snapshots, appending: Appending
) -> None:
    manifest, _ = await snapshots.take(store_of(log))
    [path] = snapshots.folder.glob("*.manifest.json")
    cut_off(path)
    with pytest.raises(DamagedSnapshotError, match=r"manifest\.json"):
        read_manifest(path)
    assert snapshots.manifests() == []
    with pytest.raises(NoSnapshotError):
        snapshots.find(ROUTE_TABLE, manifest.at)
    assert len(appending.acknowledged) > 6


async def test_a_full_disk_leaves_nothing_behind(
    log: EventLog,
    snapshots: Snapshots,
    appending: Appending,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("events.archive.whole_file.os.fsync", full)
    with pytest.raises(SnapshotError, match="no space left on device"):
        await snapshots.take(store_of(log))
    assert list(snapshots.folder.iterdir()) == []
    assert len(appending.acknowledged) > 6


async def test_a_disk_that_keeps_something_else_than_was_written_is_noticed_before_it_counts(
    log: EventLog, snapshots: Snapshots, appending: Appending, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync
    spoilt: list[int] = []

    def spoil(file: int) -> None:
        if not spoilt and os.fstat(file).st_size:
            os.pwrite(file, b"odd", os.fstat(file).st_size // 2)
            spoilt.append(file)
        sync(file)

    monkeypatch.setattr(os, "fsync", spoil)
    with pytest.raises(DamagedSnapshotError):
        await snapshots.take(store_of(log))
    assert spoilt
    assert list(snapshots.folder.iterdir()) == []
    assert (await snapshots.newest(ROUTE_TABLE)).position == START
    await snapshots.take(store_of(log))
    assert (await snapshots.newest(ROUTE_TABLE)).position == appending.acknowledged[-1].entry_id


async def test_where_the_log_was_trimmed_a_read_model_is_built_from_the_snapshot(
    log: EventLog, snapshots: Snapshots, appending: Appending
) -> None:
    manifest, _ = await snapshots.take(store_of(log))
    await appending.run(20)
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(manifest.at.after()))
    with pytest.raises(HistoryMissingError, match="entries after 0-0 were deleted"):
        await build(log, store_of(log))
    assert await store_of(log).live_generation() is None
    await build(log, store_of(log), await snapshots.newest(ROUTE_TABLE))
    assert await states(log, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])


async def test_a_snapshot_older_than_what_was_trimmed_does_not_fill_the_gap(
    log: EventLog, snapshots: Snapshots, appending: Appending
) -> None:
    manifest, _ = await snapshots.take(store_of(log))
    await appending.run(20)
    cut = appending.acknowledged[-5].entry_id
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(cut))
    with pytest.raises(HistoryMissingError, match=str(manifest.at)):
        await build(log, store_of(log), await snapshots.newest(ROUTE_TABLE))


async def test_a_projection_takes_no_snapshot_of_another(
    log: EventLog, snapshots: Snapshots, appending: Appending
) -> None:
    await snapshots.take(store_of(log))
    assert (await snapshots.newest(HEALTH_STATE, END)).states == {}
    assert isinstance(await snapshots.newest(HEALTH_STATE), Folding)
    assert len(appending.acknowledged) > 6


def test_a_manifest_tells_all_that_a_reader_checks() -> None:
    fields = {field.name for field in msgspec.structs.fields(SnapshotManifest)}
    assert {"format", "projection", "version", "position", "sha256", "documents"} <= fields
    assert E.version is None


async def test_what_a_fold_has_so_far_is_kept_and_lets_nothing_be_trimmed(
    log: EventLog, snapshots: Snapshots, appending: Appending
) -> None:
    folding = await snapshots.newest(ROUTE_TABLE)
    await replay(log, folding, appending.acknowledged[20].entry_id)
    kept = await snapshots.keep(folding)
    assert kept is not None
    assert (kept.at, kept.appended) == (appending.acknowledged[20].entry_id, 21)
    assert kept.verified is None
    assert await read_known_snapshots(log.server.client.call, log.keys, 0) == []
    assert newest_verified(snapshots.folder, ROUTE_TABLE, kept.identity) == (None, "")
    await replay(log, folding := await snapshots.newest(ROUTE_TABLE))
    assert folding.entries == len(appending.acknowledged) - 21
    assert folding.states == truth(ROUTE_TABLE, [appending])


async def test_what_a_fold_over_a_gap_has_is_not_kept(
    log: EventLog, snapshots: Snapshots, appending: Appending
) -> None:
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", 10)
    folding = Folding(ROUTE_TABLE, 0)
    await replay(log, folding)
    assert folding.position == appending.acknowledged[-1].entry_id
    with pytest.raises(HistoryMissingError):
        await snapshots.keep(folding)
    assert snapshots.manifests() == []


async def test_old_snapshots_are_deleted_but_never_the_newest_verified_one(
    log: EventLog, snapshots: Snapshots, appending: Appending
) -> None:
    health, _ = await snapshots.take(store_of(log, HEALTH_STATE))
    taken = []
    for _ in range(2):
        await appending.run(5)
        async with settled(log):
            taken.append((await snapshots.take(store_of(log)))[0])
    for _ in range(3):
        await appending.run(5)
        taken.append((await snapshots.take(store_of(log), compare_with_live=False))[0])
    assert snapshots.prune(ROUTE_TABLE, 2) == [taken[2], taken[0]]
    assert snapshots.manifests() == [taken[4], taken[3], taken[1], health]
    files = {path.name for path in snapshots.folder.iterdir()}
    assert {one.file for one in (*taken[3:], taken[1], health)} <= files
    assert len(files) == 8
    assert snapshots.prune(ROUTE_TABLE, 2) == []
