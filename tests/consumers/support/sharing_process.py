"""Processes that share a handler group, and whose effects are lines in one file.

A line says what began or ended, of which endpoint and with which number, and in which process.
"""

import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from uuid import UUID

import anyio
import msgspec

from consumers import open_group
from consumers.handlers.handler_settings import HandlerSettings
from consumers.processes.logs import configure_logs
from consumers.processes.stopping import stopping
from events import EventLog, open_log
from events.entry.entry_id import START
from events.entry.recorded import RecordedEvent
from tests.consumers.support.group_process import GroupProcess

ROOT = Path(__file__).parents[3]
AUDIT = "audit"
SETTINGS = HandlerSettings(concurrency=4, lease_ms=6_000, block_ms=200)
_WORK_S = 0.005


class Effect(msgspec.Struct, frozen=True):
    """What a line says."""

    what: str
    endpoint_id: UUID
    number: int
    process: str


class SharingProcesses:
    """Starts and ends processes that share the group, and reads what they did."""

    def __init__(self, log: EventLog, folder: Path, stack: AsyncExitStack) -> None:
        self._log = log
        self._effects = folder / "effects"
        self._effects.touch()
        self._read: list[Effect] = []
        self._read_bytes = 0
        self._stack = stack
        self.running: list[GroupProcess] = []

    async def start(self) -> None:
        """Start one more process."""
        name = f"p{len(self.running)}-{random.randbytes(3).hex()}"
        url, namespace = self._log.server.settings.url, self._log.keys.namespace
        module = "tests.consumers.support.sharing_process"
        process = await self._stack.enter_async_context(
            await anyio.open_process(
                [sys.executable, "-m", module, url, namespace, str(self._effects), name],
                cwd=ROOT,
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=None,
            )
        )
        started = GroupProcess(process, name)
        self._stack.callback(started.end)
        self.running.append(started)

    def effects(self) -> list[Effect]:
        """Return what began and ended, in this order."""
        with self._effects.open("rb") as file:
            file.seek(self._read_bytes)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]
        self._read_bytes += len(new)
        self._read += [msgspec.json.decode(line, type=Effect) for line in new.splitlines()]
        return self._read


@asynccontextmanager
async def sharing_processes(log: EventLog, folder: Path) -> AsyncIterator[SharingProcesses]:
    """Let the block start processes; none of them outlives it."""
    async with AsyncExitStack() as stack:
        yield SharingProcesses(log, folder, stack)


async def _share(url: str, namespace: str, effects: str, process: str) -> None:
    file = os.open(effects, os.O_WRONLY | os.O_APPEND)

    def note(what: str, recorded: RecordedEvent) -> None:
        number = int(getattr(recorded.event, "traffic_ratio", 0))
        effect = Effect(what, recorded.endpoint_id, number, process)
        os.write(file, msgspec.json.encode(effect) + b"\n")

    async def handle(recorded: RecordedEvent) -> None:
        note("begun", recorded)
        await anyio.sleep(_WORK_S)
        note("ended", recorded)

    asked = anyio.Event()

    async def stop() -> None:
        asked.set()

    async with (
        open_log(url, namespace=namespace) as log,
        stopping(stop),
        open_group(log, AUDIT, handle, start=START, settings=SETTINGS),
    ):
        await asked.wait()


if __name__ == "__main__":
    configure_logs("critical")
    _url, _namespace, _effects, _name = sys.argv[1:]
    anyio.run(_share, _url, _namespace, _effects, _name)
