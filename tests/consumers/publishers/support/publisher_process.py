"""The real process of a publisher, which a test kills and starts again."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

import anyio

from consumers.processes.supervisor import routestream_command
from events.log.log import EventLog


@asynccontextmanager
async def publisher_process(
    log: EventLog, publisher: str, settings: Mapping[str, str], folder: Path
) -> AsyncIterator[None]:
    """Run `routestream publish` during the block, and kill it at its end.

    *settings* are variables without `ROUTESTREAM_PUBLISH_`.
    """
    environment = {
        **os.environ,
        "REDIS_URL": log.server.settings.url,
        "ROUTESTREAM_NAMESPACE": log.keys.namespace,
        "ROUTESTREAM_READER_BLOCK_MS": "50",
        **{f"ROUTESTREAM_PUBLISH_{name}": value for name, value in settings.items()},
    }
    with (folder / "publisher.log").open("ab") as output:
        process = await anyio.open_process(
            routestream_command("publish", publisher),
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
        )
    async with process:
        try:
            yield
            assert process.returncode is None, (folder / "publisher.log").read_text()
        finally:
            if process.returncode is None:
                process.kill()
            with anyio.CancelScope(shield=True):
                await process.wait()
