"""A log that is exported and imported elsewhere is the same log there."""

import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from anyio.to_thread import run_sync

from consumers.processes.embedded import EmbeddedServer
from events import (
    START,
    EndpointCreatedEvent,
    EntryId,
    EventLog,
    RouteTrafficRatioUpdatedEvent,
    open_log,
)
from events.errors import ConflictError
from events.history.history import History
from events.transfer.copy import MovedError
from events.transfer.export_file import ExportWriter, Header, UnreadableExportError
from events.transfer.log_import import ForeignTargetError, import_log, plan_import
from tests.events.support.archives import add_many, archive_in, in_stream, run, trim

PARTITIONS = 3
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def source(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(redis_url, namespace=namespace, partitions=PARTITIONS) as opened:
        yield opened


@pytest.fixture
async def target(own_server: EmbeddedServer) -> AsyncIterator[EventLog]:
    async with open_log(own_server.url, namespace="moved", partitions=PARTITIONS) as opened:
        yield opened


async def fill(log: EventLog, endpoints: int = 40) -> list[UUID]:
    """Append events of some endpoints, and put what is none between them."""
    rng = random.Random(11)
    ids = [uuid4() for _ in range(endpoints)]
    for one in ids:
        await log.append(EndpointCreatedEvent(endpoint_id=one, name="chät", model="m"))
    for one in rng.choices(ids, k=200):
        await log.append(
            RouteTrafficRatioUpdatedEvent(endpoint_id=one, route_id=one, traffic_ratio=0.5)
        )
    for partition in range(log.partitions):
        stream = log.keys.events(partition)
        await log.server.client.call("XADD", stream, "*", b"\xff\x00", rng.randbytes(300))
        await log.server.client.call("XADD", stream, "*", "k", "1", "k", "2", "", "")
    return ids


async def export(log: EventLog, path: Path, start: EntryId = START, **options: object) -> None:
    history = History(log, **options)  # type: ignore[arg-type]
    with path.open("wb") as file:
        header = Header(namespace=log.keys.namespace, partitions=log.partitions, start=str(start))
        writer = ExportWriter(file, header)
        for partition in range(log.partitions):
            async for entries in history.raw_chunks(partition, start):
                writer.add(partition, entries)
        writer.end()


async def bring_in(log: EventLog, path: Path) -> int:
    plans = await plan_import(log, path, lambda _count, _at: None)
    await import_log(log, path, plans, lambda _count, _at: None)
    return sum(plan.count for plan in plans)


async def assert_same(one: EventLog, other: EventLog) -> None:
    for partition in range(PARTITIONS):
        assert await in_stream(other, partition) == await in_stream(one, partition)


async def heads(log: EventLog) -> list[dict[bytes, bytes]]:
    found = [
        await log.server.client.execute_command("HGETALL", log.keys.heads(p))
        for p in range(PARTITIONS)
    ]
    return [dict(one) for one in found]


async def test_ids_fields_and_heads_are_the_same_on_the_other_server(
    source: EventLog, target: EventLog, tmp_path: Path
) -> None:
    [endpoint, *_] = await fill(source)
    await export(source, tmp_path / "log.jsonl")

    count = await bring_in(target, tmp_path / "log.jsonl")

    assert count == 246
    await assert_same(source, target)
    assert await heads(target) == await heads(source)
    event = EndpointCreatedEvent(endpoint_id=endpoint, name="again", model="m")
    with pytest.raises(ConflictError):
        await target.append(event, expected=START)
    await target.append(event)
    assert await bring_in_again(target, tmp_path / "log.jsonl") is ForeignTargetError


async def bring_in_again(log: EventLog, path: Path) -> type[Exception] | None:
    try:
        await bring_in(log, path)
    except ForeignTargetError as error:
        return type(error)
    return None


async def test_what_was_trimmed_is_exported_from_the_archive(
    log: EventLog, own_server: EmbeddedServer, tmp_path: Path
) -> None:
    await add_many(log, 30)
    before = await in_stream(log)
    archive = archive_in(tmp_path / "archive", log)
    await run(log, archive)
    await trim(log, 25)

    await export(log, tmp_path / "log.jsonl", archive=archive)

    async with open_log(own_server.url) as target:
        await bring_in(target, tmp_path / "log.jsonl")
        assert await in_stream(target) == before


async def test_an_import_goes_on_where_it_was(
    source: EventLog, target: EventLog, tmp_path: Path
) -> None:
    await fill(source)
    await export(source, tmp_path / "first.jsonl")
    await bring_in(target, tmp_path / "first.jsonl")
    assert await bring_in(target, tmp_path / "first.jsonl") == 0

    await fill(source, 3)
    await export(source, tmp_path / "second.jsonl")

    assert await bring_in(target, tmp_path / "second.jsonl") == 209
    await assert_same(source, target)


async def test_a_part_can_follow_if_it_begins_with_what_is_there(
    log: EventLog, own_server: EmbeddedServer, tmp_path: Path
) -> None:
    await add_many(log, 20)
    await export(log, tmp_path / "first.jsonl")
    await add_many(log, 20, begin=21)
    await export(log, tmp_path / "second.jsonl", EntryId(20, 0))
    await export(log, tmp_path / "late.jsonl", EntryId(21, 0))

    async with open_log(own_server.url) as target:
        await bring_in(target, tmp_path / "first.jsonl")
        with pytest.raises(ForeignTargetError):
            await bring_in(target, tmp_path / "late.jsonl")
        assert await bring_in(target, tmp_path / "second.jsonl") == 20
        assert await in_stream(target) == await in_stream(log)


KILLED = """
import os, signal, sys
from functools import partial
from pathlib import Path
import anyio
from events import open_log
from events.transfer import copy
from events.transfer.log_import import import_log, plan_import

real, calls = copy.Copy.add_after, 0

async def counted(*arguments):
    global calls
    calls += 1
    if calls == int(sys.argv[3]) and sys.argv[4] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    last = await real(*arguments)
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return last

async def main():
    copy.Copy.add_after = counted
    async with open_log(sys.argv[1], namespace="moved", partitions=3) as log:
        path = Path(sys.argv[2])
        await import_log(log, path, await plan_import(log, path, print), print)

anyio.run(main)
"""


@pytest.mark.parametrize(
    ("step", "when"), [(1, "before"), (1, "after"), (2, "after"), (5, "after")]
)
async def test_killed_at_any_batch_the_import_goes_on_without_a_double(  # noqa: PLR0917
    source: EventLog,
    target: EventLog,
    own_server: EmbeddedServer,
    tmp_path: Path,
    step: int,
    when: str,
) -> None:
    for partition in range(PARTITIONS):
        await add_many(source, 1_100, partition=partition)
    path = tmp_path / "log.jsonl"
    await export(source, path)
    command = [sys.executable, "-c", KILLED, own_server.url, str(path), str(step), when]

    done = await run_sync(lambda: subprocess.run(command, cwd=ROOT, check=False, timeout=60))

    assert done.returncode == -signal.SIGKILL
    there = [len(await in_stream(target, p)) for p in range(PARTITIONS)]
    assert sum(there) < 3_300
    assert await bring_in(target, path) == 3_300 - sum(there)
    await assert_same(source, target)


def truncated(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


def half_a_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-2], lines[-2][:-9]]


def without_one(lines: list[bytes]) -> list[bytes]:
    return lines[:3] + lines[4:]


def swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def edited(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"n-1-0", b"n-9-9"), *lines[2:]]


def more_behind(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[1]]


def of_a_later_release(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b'"version":1', b'"version":2'), *lines[1:]]


def headless(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def garbage(lines: list[bytes]) -> list[bytes]:
    return [lines[0], b"\xff\xfe\n", *lines[1:]]


DAMAGES = [
    *(truncated, half_a_line, without_one, swapped, edited, more_behind),
    *(of_a_later_release, headless, garbage),
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_from_a_damaged_file_nothing_is_imported(
    log: EventLog,
    own_server: EmbeddedServer,
    tmp_path: Path,
    damage: Callable[[list[bytes]], list[bytes]],
) -> None:
    await add_many(log, 20)
    path = tmp_path / "log.jsonl"
    await export(log, path)
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))

    async with open_log(own_server.url) as target:
        with pytest.raises(UnreadableExportError, match=r"log\.jsonl"):
            await bring_in(target, path)
        assert await in_stream(target) == []


async def test_a_log_with_something_else_in_it_is_refused(
    log: EventLog, own_server: EmbeddedServer, tmp_path: Path
) -> None:
    await add_many(log, 20)
    await export(log, tmp_path / "log.jsonl")
    for ids in (["7-0"], ["1-0", "7-0"], ["20-0"], ["99-0"]):
        async with open_log(own_server.url, namespace=f"n-{'-'.join(ids)}") as target:
            for one in ids:
                stream = target.keys.events(0)
                await target.server.client.call("XADD", stream, one, "name", f"n-{one}")
            with pytest.raises(ForeignTargetError, match="empty namespace"):
                await bring_in(target, tmp_path / "log.jsonl")
            assert len(await in_stream(target)) == len(ids)


async def test_who_appends_meanwhile_is_noticed(
    log: EventLog, own_server: EmbeddedServer, tmp_path: Path
) -> None:
    await add_many(log, 1_200)
    path = tmp_path / "log.jsonl"
    await export(log, path)

    async with open_log(own_server.url) as target, open_log(own_server.url) as other:
        plans = await plan_import(target, path, lambda _count, _at: None)
        await other.append(EndpointCreatedEvent(endpoint_id=uuid4(), name="x", model="m"))
        with pytest.raises(MovedError, match="somebody appends"):
            await import_log(target, path, plans, lambda _count, _at: None)
        assert len(await in_stream(target)) == 1


async def test_a_clock_that_jumped_leaves_ids_that_are_imported_as_they_are(
    log: EventLog, own_server: EmbeddedServer, tmp_path: Path
) -> None:
    top = 2**64 - 1
    for one in ("5-0", f"5-{top}", "6-0", f"{top}-{top}"):
        await log.server.client.call("XADD", log.keys.events(0), one, "k", "v")
    await export(log, tmp_path / "log.jsonl")

    async with open_log(own_server.url) as target:
        await bring_in(target, tmp_path / "log.jsonl")
        assert await in_stream(target) == await in_stream(log)
