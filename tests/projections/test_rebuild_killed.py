"""A rebuild in a process of its own, killed at each of its phases, or interrupted."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from subprocess import DEVNULL
from uuid import uuid4

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from events import EventLog
from projections.read_model.generations import BUILD_TTL_S
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings
from projections.snapshots.snapshot_store import Snapshots
from tests.projections.test_rebuild_under_load import documents as raw_documents
from tests.support.appending import Appending, anything, truth
from tests.support.projectors import rebuild, settled, store_of
from tests.support.read_model import generations_there
from tests.support.running_consumer import documents, states
from tests.support.tcp_proxy import tcp_proxy
from tests.support.told import Told


async def killed_at(phase: str, url: str, namespace: str) -> None:
    """Start a rebuild, and kill it as soon as it tells of *phase*."""
    command = [
        *(sys.executable, "-P", "-m", "consumers", "--url", url, "--namespace", namespace),
        *("replay", "rebuild", "route-table", "--yes", "-o", "jsonl"),
    ]
    with anyio.fail_after(60):
        async with await anyio.open_process(command, env=dict(os.environ), stderr=None) as process:
            assert process.stdout is not None
            lines = BufferedByteReceiveStream(process.stdout)
            while json.loads(await lines.receive_until(b"\n", 1_000_000))["phase"] != phase:
                pass
            process.kill()
            await process.wait()


@pytest.mark.parametrize("phase", ["fold", "write", "compare", "swap"])
async def test_a_rebuild_that_is_killed_leaves_what_is_live_as_it_was(
    log: EventLog, redis_url: str, phase: str
) -> None:
    appending = Appending(log, 7, [uuid4() for _ in range(30)])
    await appending.run(120)
    async with settled(log):
        pass
    before = await documents(log, ROUTE_TABLE)
    [first] = await generations_there(log, ROUTE_TABLE.name)
    await killed_at(phase, redis_url, log.keys.namespace)
    live = await store_of(log).live_generation()
    # On a busy machine it may be done before the signal comes.
    if live == first:
        assert await documents(log, ROUTE_TABLE) == before
        for left in set(await generations_there(log, ROUTE_TABLE.name)) - {first}:
            key = log.keys.documents(0, ROUTE_TABLE.name, left)
            assert await log.server.client.call("TTL", key) in range(1, BUILD_TTL_S + 1)
    assert await states(log, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])
    await appending.run(5)
    async with settled(log):
        done = await rebuild(log)
    assert done.comparison is not None
    assert done.comparison.agrees
    assert await states(log, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])


@pytest.mark.parametrize(
    ("arguments", "following"),
    [((), "the same command"), (("--from-start",), "the command without --from-start")],
)
async def test_a_rebuild_that_is_interrupted_keeps_what_it_folded_and_the_next_goes_on_there(
    log: EventLog, redis_url: str, tmp_path: Path, arguments: tuple[str, ...], following: str
) -> None:
    told = Told()
    random, endpoints = Random(3), [uuid4() for _ in range(40)]
    for _ in range(30):
        events = [anything(random, one) for one in random.choices(endpoints, k=1_000)]
        told.note(events, (await log.append(*events)).entry_ids)
    ids = told.ids
    async with settled(log), tcp_proxy(int(redis_url.rpartition(":")[2])) as proxy:
        # Reads grow: 64 and 256 entries, then 1,000 each.
        held = proxy.hold_next(f"({ids[15_319]}".encode())
        async with rebuilding(proxy.url, log.keys.namespace, tmp_path, *arguments) as process:
            await held.arrived.wait()
            process.send_signal(signal.SIGINT)
            said = await told_by(process)
            assert await process.wait() == 130
    [live] = await generations_there(log, ROUTE_TABLE.name)
    assert await store_of(log).live_generation() == live
    assert f": {following} goes on there\n" in said
    async with rebuilding(redis_url, log.keys.namespace, tmp_path) as process:
        said = await told_by(process)
        assert await process.wait() == 0
    [kept] = Snapshots(log, 0, SnapshotSettings(str(tmp_path / "snapshots"))).manifests()
    done = ids.index(kept.at) + 1
    assert 10_320 <= done <= 15_320
    assert f"partition 0: {30_000 - done:,} entries up to {ids[-1]}, from {kept.position}" in said
    assert await generations_there(log, ROUTE_TABLE.name) == [
        *(live, await store_of(log).live_generation()),
    ]
    assert told.wrong(ROUTE_TABLE.name, await raw_documents(log)) == []


@asynccontextmanager
async def rebuilding(
    url: str, namespace: str, folder: Path, *arguments: str
) -> AsyncIterator[Process]:
    command = [
        *(sys.executable, "-P", "-m", "consumers", "--url", url, "--namespace", namespace),
        *("replay", "rebuild", "route-table", "--yes", *arguments),
    ]
    with anyio.fail_after(60):
        process = await anyio.open_process(
            command, env=dict(os.environ), stdout=DEVNULL, cwd=folder
        )
        async with process:
            yield process


async def told_by(process: Process) -> str:
    assert process.stderr is not None
    return b"".join([part async for part in process.stderr]).decode()
