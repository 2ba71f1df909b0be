"""The archive in S3-compatible storage, on moto's server."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen
from uuid import uuid4

import anyio
import obstore
import pytest
from moto.server import ThreadedMotoServer

from events import EventLog
from events.archive import Archive, ArchiveSettings
from events.archive.bucket import Bucket
from events.archive.errors import ArchiveStorageError, DamagedArchiveError
from events.history.history import History
from tests.events.support.archives import add_many, archived, in_stream, run, trim

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture(scope="module")
def endpoint_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid4().hex[:8]}"
    ask("PUT", f"{endpoint_url}/{name}")
    return name


@pytest.fixture
def archive(log: EventLog, endpoint_url: str, bucket: str) -> Archive:
    settings = ArchiveSettings(
        location=f"s3://{bucket}/some/prefix",
        endpoint_url=endpoint_url,
        segment_entries_max=10,
    )
    return Archive.open(settings, log.keys.namespace)


def ask(method: str, url: str) -> str:
    """Ask the storage past our library: moto checks no signature."""
    with urlopen(Request(url, method=method)) as answer:  # noqa: S310 - loopback
        return str(answer.read().decode())


@pytest.mark.parametrize(
    ("endpoint_url", "region", "expected"),
    [
        (None, "eu-north-1", "eu-north-1"),
        (None, None, None),
        ("http://127.0.0.1:1", "eu-north-1", "eu-north-1"),
        ("http://127.0.0.1:1", None, "us-east-1"),
    ],
)
def test_the_region_counts_with_and_without_an_endpoint(
    endpoint_url: str | None, region: str | None, expected: str | None
) -> None:
    store = Bucket("s3://bucket/prefix", endpoint_url, region)._store
    assert store.config.get("region") == expected


def objects(endpoint_url: str, bucket: str) -> list[str]:
    return re.findall(r"<Key>(.*?)</Key>", ask("GET", f"{endpoint_url}/{bucket}"))


async def test_a_bucket_keeps_the_archive_as_a_folder_does(
    log: EventLog, archive: Archive, endpoint_url: str, bucket: str
) -> None:
    await add_many(log, 25)
    before = await in_stream(log)

    written = await run(log, archive)
    await trim(log, 23)

    assert [one.segment.count for one in written] == [10, 10, 5]
    assert await archived(archive) == before
    read = [e async for chunk in History(log, archive).raw_chunks(0) for e in chunk]
    assert [(entry_id, list(fields)) for entry_id, fields in read] == before
    names = objects(endpoint_url, bucket)
    assert len(names) == 4
    assert all(name.startswith(f"some/prefix/{log.keys.namespace}/0/") for name in names)
    for segment in (await archive.state(0)).manifest.segments:
        await archive.check(0, segment)


async def test_runs_at_once_write_each_segment_once(log: EventLog, archive: Archive) -> None:
    await add_many(log, 100)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(run, log, archive)

    manifest = (await archive.state(0)).manifest
    assert [one.count for one in manifest.segments] == [10] * 10
    assert await archived(archive) == await in_stream(log)
    assert set(await archive.sizes(0)) == {one.file for one in manifest.segments}


async def test_a_manifest_is_not_written_over_another_writers(
    log: EventLog, archive: Archive
) -> None:
    await add_many(log, 10)
    empty = await archive.state(0)
    [written] = await run(log, archive)
    first = await archive.state(0)
    await add_many(log, 10, begin=11)
    await run(log, archive)

    for stale in (empty, first):
        assert not await archive.add(stale, written.segment)

    assert (await archive.state(0)).manifest.added == 20


async def test_an_object_that_is_gone_is_damage(
    log: EventLog, archive: Archive, endpoint_url: str, bucket: str
) -> None:
    await add_many(log, 10)
    [written] = await run(log, archive)
    [key] = [k for k in objects(endpoint_url, bucket) if k.endswith(written.segment.file)]
    assert isinstance(archive.storage, Bucket)
    await obstore.delete_async(archive.storage._store, key.removeprefix("some/prefix/"))
    assert key not in objects(endpoint_url, bucket)

    with pytest.raises(DamagedArchiveError, match="missing"):
        await archived(archive)


async def test_a_bucket_that_is_not_there_is_named(
    log: EventLog, endpoint_url: str, bucket: str
) -> None:
    settings = ArchiveSettings(location=f"s3://no-{bucket}", endpoint_url=endpoint_url)
    await add_many(log, 3)

    with pytest.raises(ArchiveStorageError, match=f"no-{bucket}"):
        await run(log, Archive.open(settings, log.keys.namespace))


def test_without_the_extra_a_location_in_s3_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from events.archive import Archive, ArchiveSettings\n"
        "from events.archive.errors import ArchiveStorageError\n"
        "Archive.open(ArchiveSettings(location='/tmp'), 'n')\n"
        "try: Archive.open(ArchiveSettings(location='s3://b/p'), 'n')\n"
        "except ArchiveStorageError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert "pip install 'routestream[s3]'" in done.stdout


def test_a_folder_needs_nothing_of_s3() -> None:
    code = "import sys; import consumers.cli.program; print('obstore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
