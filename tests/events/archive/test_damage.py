"""What is damaged is said to be damaged; nothing else is ever read from it."""

import json
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from events import EventLog
from events.archive import Archive, ArchiveSettings
from events.archive import segment as segment_module
from events.archive.errors import DamagedArchiveError, ForeignArchiveError
from events.archive.segment import RAW_BYTES_MAX, check
from events.history.history import History
from tests.events.support.archives import add_many, archive_in, archived, names_in, run, trim


@pytest.fixture
async def archive(log: EventLog, tmp_path: Path) -> Archive:
    await add_many(log, 30)
    there = archive_in(tmp_path, log)
    await run(log, there)
    await trim(log, 31)
    return there


def files(archive: Archive) -> list[Path]:
    folder = Path(archive.storage.name) / archive.namespace / "0"
    return sorted(folder.glob("*.zst"), key=lambda path: int(path.name.partition("-")[0]))


def manifest_path(archive: Archive) -> Path:
    return Path(archive.storage.name) / archive.namespace / "0" / "manifest.json"


def edit(archive: Archive, change: Callable[[dict[str, Any]], None]) -> None:
    path = manifest_path(archive)
    told = json.loads(path.read_bytes())
    change(told)
    path.write_text(json.dumps(told))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def same_size_other_frame(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink, same_size_other_frame])
async def test_a_damaged_file_is_named_and_what_lies_before_it_is_read(
    log: EventLog, archive: Archive, damage: Callable[[Path], None]
) -> None:
    damage(files(archive)[1])
    chunks = History(log, archive).read_entries(0)

    assert [entry.entry_id.ms for entry in await anext(chunks)] == list(range(1, 11))
    with pytest.raises(DamagedArchiveError, match="11-0_20-0"):
        await anext(chunks)
    [_, second, _] = (await archive.state(0)).manifest.segments
    with pytest.raises(DamagedArchiveError):
        await archive.check(0, second)


async def test_a_reading_that_failed_does_not_pass_over_the_damage_when_it_is_tried_again(
    log: EventLog, archive: Archive
) -> None:
    there = files(archive)[1]
    aside = there.with_suffix(".aside")
    there.rename(aside)
    history = History(log, archive)
    follower = history.follow_entries((await _ends(archive))[0])

    with pytest.raises(DamagedArchiveError):
        await anext(follower)

    aside.rename(there)
    follower = history.follow_entries((await _ends(archive))[0])
    assert (await anext(follower)).entry_id.ms == 11
    await follower.aclose()


async def _ends(archive: Archive) -> list[Any]:
    return [one.last_id for one in (await archive.state(0)).manifest.segments]


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["parts"][1].update(count=9),
        lambda told: told["parts"][1].update(last="20-5"),
        lambda told: told["parts"][0].update(sha256="0" * 64),
        lambda told: told["parts"][2].update(chain=told["parts"][1]["chain"]),
        lambda told: told["parts"].pop(0),
        lambda told: told["parts"].pop(1),
        lambda told: told["parts"].reverse(),
        lambda told: told["parts"].insert(1, {**told["parts"][0]}),
        lambda told: told["parts"][0].update(kind="hole"),
    ],
)
async def test_an_edited_manifest_is_refused(
    log: EventLog, archive: Archive, change: Callable[[dict[str, Any]], None]
) -> None:
    edit(archive, change)

    with pytest.raises(DamagedArchiveError, match="manifest of partition 0"):
        await archive.state(0)
    with pytest.raises(DamagedArchiveError):
        await run(log, archive)


async def test_a_manifest_that_is_cut_or_empty_is_refused(archive: Archive) -> None:
    path = manifest_path(archive)
    whole = path.read_bytes()
    for raw in (whole[:-20], b"", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(raw)
        with pytest.raises(DamagedArchiveError):
            await archive.state(0)


@pytest.mark.parametrize("field", ["namespace", "partition", "version"])
async def test_the_archive_of_another_log_is_refused(archive: Archive, field: str) -> None:
    edit(archive, lambda told: told.update({field: 7 if field != "namespace" else "other"}))

    with pytest.raises(ForeignArchiveError, match=f"^{archive.folder(0)}: .*the right place"):
        await archive.state(0)


async def test_a_namespace_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    for namespace in ("..", "../..", "a/b", ".", "ü/\\"):
        there = Archive.open(ArchiveSettings(location=str(tmp_path / "in")), namespace)
        await there.storage.write(there._name(0, "file"), b"x")

    assert names_in(tmp_path) == ["in"]
    made = names_in(tmp_path / "in")
    assert len(made) == 5
    assert all((tmp_path / "in" / one / "0" / "file").exists() for one in made)


async def test_a_file_that_would_grow_beyond_what_the_manifest_says_is_not_unpacked(
    archive: Archive,
) -> None:
    """Its checksum fits, the manifest is whole, and it still is not what it says it is."""
    [first, *_] = (await archive.state(0)).manifest.segments
    bomb = zstandard.ZstdCompressor().compress(bytes(100_000_000))
    segment = msgspec.structs.replace(
        first, stored_bytes=len(bomb), sha256=sha256(bomb).hexdigest()
    )
    tracemalloc.start()
    try:
        with pytest.raises(DamagedArchiveError):
            check(segment, bomb)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


async def test_a_small_file_that_claims_a_gigabyte_takes_no_more_than_one_line_may_have(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_module, "LINE_BYTES_MAX", 4_000_000)
    [first, *_] = (await archive.state(0)).manifest.segments
    bomb = zstandard.ZstdCompressor().compress(bytes(100_000_000))
    claims = {"stored_bytes": len(bomb), "sha256": sha256(bomb).hexdigest()}
    segment = msgspec.structs.replace(first, raw_bytes=1_073_741_824, **claims)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedArchiveError, match="a line has more than 4000000 bytes"):
            check(segment, bomb)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    with pytest.raises(DamagedArchiveError, match="before compression, the limit is"):
        check(msgspec.structs.replace(segment, raw_bytes=RAW_BYTES_MAX + 1), bomb)


async def test_a_file_larger_than_the_manifest_says_is_not_read(archive: Archive) -> None:
    with files(archive)[0].open("ab") as file:
        file.truncate(10_000_000_000)
    with pytest.raises(DamagedArchiveError, match="10000000000 bytes, at most"):
        await archived(archive)


@pytest.mark.parametrize("name", ["../0/x", "..", "manifest.json", "1-0_10-0_0.jsonl.zst"])
async def test_a_manifest_names_only_files_of_its_own(archive: Archive, name: str) -> None:
    """Its chain is whole: somebody who can count it anew wrote it."""
    state = await archive.state(0)
    [first, *others] = state.manifest.segments
    forged = msgspec.structs.replace(state.manifest, parts=()).with_parts(
        msgspec.structs.replace(first, file=name), *others
    )
    manifest_path(archive).write_bytes(forged.encode())
    with pytest.raises(DamagedArchiveError, match="cannot be, for"):
        await archive.state(0)


async def test_after_damage_is_mended_everything_is_there_again(archive: Archive) -> None:
    path = files(archive)[0]
    whole = path.read_bytes()
    flip(path)
    with pytest.raises(DamagedArchiveError):
        await archived(archive)

    path.write_bytes(whole)

    assert len(await archived(archive)) == 30
