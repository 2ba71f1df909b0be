"""The captured traffic of release 25.15.0, played live into processes of the group backend-ai."""

import os
import random
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
import msgspec
import pytest

from consumers.processes.supervisor import routestream_command
from events.log.log import EventLog
from producers.backend_ai.capture import read_capture
from tests.consumers.support.backend_ai import STREAM_DATABASE, Cluster, cluster, until_delivered
from tests.support.waiting import wait_until

DATA = Path(__file__).parents[2] / "data"
CAPTURE = DATA / "backend-ai-25.15.0-traffic.jsonl"
EXPECTED = DATA / "backend-ai-25.15.0-expected.json"

BURST_MAX = 6
"""Entries that are written before the group has read those before them."""


def expected() -> dict[str, Any]:
    """Return the endpoints that the capture must lead to, by their ids."""
    found: dict[str, Any] = msgspec.json.decode(EXPECTED.read_bytes())
    return found


def captured_lists() -> set[bytes]:
    """Return the arguments of the events of the capture that told of a list of routes."""
    found = set()
    for line in CAPTURE.read_bytes().splitlines():
        _, _, *words = msgspec.json.decode(line)["args"]
        if "endpoint_route_list_updated" in words:
            found.add(b64decode(words[words.index("args") + 1]["b64"]))
    return found


@asynccontextmanager
async def captured_cluster(log: EventLog, url: str) -> AsyncIterator[Cluster]:
    """Let the block play the capture at *url*, beside *log*; skip where there is no capture."""
    if not CAPTURE.exists() or not EXPECTED.exists():
        pytest.skip(f"the captured traffic is not there: {DATA}")
    async with cluster(log, url, stream="events") as opened:
        yield opened


@asynccontextmanager
async def consume_backend_ai(log: EventLog, url: str, played: Cluster) -> AsyncIterator[None]:
    """Run two processes of the group beside the block; stop them softly at its end."""
    environment = {
        **os.environ,
        "REDIS_URL": url,
        "ROUTESTREAM_NAMESPACE": log.keys.namespace,
        "ROUTESTREAM_BACKEND_AI_URL": url,
        "ROUTESTREAM_BACKEND_AI_BLOCK_MS": "100",
    }
    command = routestream_command("consume", "backend-ai", "--processes", "2")
    process = await anyio.open_process(
        command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, env=environment
    )
    async with process:
        try:

            async def has_begun() -> bool:
                assert process.returncode is None, "consume backend-ai ended by itself"
                return bool(await played.stream.server.client.call("EXISTS", "events"))

            await wait_until(has_begun, "the group is there")
            yield
            process.terminate()
            with anyio.fail_after(20):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()


async def play(played: Cluster, chance: random.Random) -> None:
    """Write the capture in bursts of entries, each after the group was given the one before."""
    left = 0
    for command in read_capture(CAPTURE):
        await played.command(command.db, command.args)
        if command.args[0] == b"XADD" and command.db == STREAM_DATABASE:
            left -= 1
            if left < 0:
                await until_delivered(played)
                left = chance.randrange(BURST_MAX)
