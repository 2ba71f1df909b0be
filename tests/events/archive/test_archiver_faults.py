"""Runs that are killed, that meet each other, and that find the disk full."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync

from events import EntryId, EventLog
from events.archive import Archive
from events.archive.errors import ArchiveStorageError, DamagedArchiveError
from events.log.positions import Positions
from tests.events.support.archives import (
    add_many,
    add_raw,
    archive_in,
    archived,
    in_stream,
    names_in,
    run,
)
from tests.support.disk import mounted

ROOT = Path(__file__).parents[3]
PROCESS = "tests.events.support.archiving_process"


async def archive_apart(
    log: EventLog, url: str, folder: Path, step: str
) -> subprocess.CompletedProcess[str]:
    """Archive in a process of its own, up to where *step* ends it."""
    command = [sys.executable, "-m", PROCESS, url, log.keys.namespace, str(folder), step]
    return await run_sync(
        lambda: subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    )


async def position(log: EventLog) -> EntryId:
    found = await Positions(log.server, log.keys, 0).of("archive")
    return EntryId(0, 0) if found is None else found


async def assert_valid(log: EventLog, archive: Archive) -> None:
    """Assert that the archive is whole as far as it goes, and that the log claims no more."""
    manifest = (await archive.state(0)).manifest
    for segment in manifest.segments:
        await archive.check(0, segment)
    assert await position(log) <= manifest.end
    held = await archived(archive)
    assert held == (await in_stream(log))[: len(held)]


STEPS = [
    *(f"kill:fsync:{count}:{when}" for count in (1, 3, 5, 6, 7) for when in ("before", "after")),
    *(f"kill:replace:{count}:{when}" for count in (1, 2, 3) for when in ("before", "after")),
    "kill:posix_fadvise:2:before",
    "kill:posix_fadvise:4:after",
]


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_the_archive_is_whole_and_the_next_run_goes_on(
    log: EventLog, redis_url: str, tmp_path: Path, step: str
) -> None:
    await add_many(log, 35)
    archive = archive_in(tmp_path, log)

    killed = await archive_apart(log, redis_url, tmp_path, step)

    assert killed.returncode == -9, killed.stderr
    await assert_valid(log, archive)
    await run(log, archive)
    assert await archived(archive) == await in_stream(log)
    assert await position(log) == EntryId(35, 0)


async def test_a_full_disk_is_named_and_nothing_is_claimed(
    log: EventLog, redis_url: str, tmp_path: Path
) -> None:
    """What the system says when a file may not grow is what it says when the disk is full."""
    rng = random.Random(5)
    await add_raw(log, [(b"%d-0" % ms, [b"k", rng.randbytes(2_000)]) for ms in range(1, 36)])
    archive = archive_in(tmp_path, log)

    full = await archive_apart(log, redis_url, tmp_path, "limit:8192")

    assert full.returncode == 1
    assert "cannot write" in full.stderr
    assert "file too large" in full.stderr
    assert "Traceback" not in full.stderr
    assert await position(log) == EntryId(0, 0)
    assert (await archive.state(0)).manifest.segments == []
    assert names_in(tmp_path / log.keys.namespace / "0") == []
    await run(log, archive)
    assert await archived(archive) == await in_stream(log)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "64k") as folder:
        yield folder


async def test_a_disk_that_fills_up_keeps_what_is_whole_on_it(
    log: EventLog, small_disk: Path
) -> None:
    rng = random.Random(6)
    await add_raw(log, [(b"%d-0" % ms, [b"k", rng.randbytes(2_000)]) for ms in range(1, 51)])
    archive = archive_in(small_disk, log)

    with pytest.raises(ArchiveStorageError, match="no space left on device"):
        await run(log, archive)

    held = await archived(archive)
    assert 0 < len(held) < 50
    assert await position(log) == (await archive.state(0)).manifest.end
    await assert_valid(log, archive)


async def test_a_disk_that_keeps_something_else_than_was_written_is_noticed_before_it_counts(
    log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_many(log, 10)
    archive = archive_in(tmp_path, log)
    replace = os.replace

    def replace_with_damage(temporary: Path, path: Path) -> None:
        data = bytearray(temporary.read_bytes())
        data[len(data) // 2] ^= 1
        temporary.write_bytes(data)
        replace(temporary, path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace_with_damage)
        with pytest.raises(DamagedArchiveError, match="another checksum"):
            await run(log, archive)

    assert await position(log) == EntryId(0, 0)
    assert (await archive.state(0)).manifest.segments == []
    await run(log, archive)
    assert await archived(archive) == await in_stream(log)


async def test_two_runs_at_once_do_no_harm(log: EventLog, redis_url: str, tmp_path: Path) -> None:
    await add_many(log, 300)
    counts: list[int] = []

    async def one() -> None:
        done = await archive_apart(log, redis_url, tmp_path, "none")
        assert done.returncode == 0, done.stderr
        counts.append(int(done.stdout.splitlines()[-1]))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(one)

    archive = archive_in(tmp_path, log)
    await assert_valid(log, archive)
    assert sum(counts) == 30
    assert await archived(archive) == await in_stream(log)


async def test_a_folder_that_cannot_be_written_is_named(log: EventLog, tmp_path: Path) -> None:
    await add_many(log, 3)
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ArchiveStorageError, match="file"):
        await run(log, archive_in(tmp_path / "file", log))
    assert await position(log) == EntryId(0, 0)
