"""Processes of a handler group whose effects are lines in a file, and which die or wait as told.

An endpoint's name tells what its event does to the process that handles it: `dies before` and `dies
after` (the effect) kill it, `waits` lets it wait until the file `go on` is there, for as long as it
takes.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio
from anyio.abc import Process

from consumers.processes.logs import configure_logs
from consumers.processes.stopping import stopping
from consumers.processes.supervisor import Supervisor
from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.outcome import RetryPolicy
from consumers.runtime.processor import HandlerProcessor
from events.catalogue.endpoint import EndpointCreatedEvent
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog, open_log
from tests.support.running_consumer import GROUP
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
CLAIM_IDLE_MS = 400
SETTINGS = ConsumerSettings(
    batch_size=100,
    block_ms=100,
    claim_idle_ms=CLAIM_IDLE_MS,
    policy=RetryPolicy(tries_max=4, first_s=0.01, most_s=0.02),
)


def event(name: str) -> EndpointCreatedEvent:
    """Return an event that does what *name* says to who handles it."""
    return EndpointCreatedEvent(endpoint_id=uuid4(), name=name, model="a model")


class Effects:
    """What all processes together did, outside Redis, and what they only began."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, entry_id: EntryId) -> None:
        self._note("begun", entry_id)

    def happen(self, entry_id: EntryId) -> None:
        self._note("effects", entry_id)

    def _note(self, name: str, entry_id: EntryId) -> None:
        file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{entry_id}\n".encode())
        os.close(file)

    def begun(self) -> Counter[EntryId]:
        return self._noted("begun")

    def happened(self) -> Counter[EntryId]:
        return self._noted("effects")

    def _noted(self, name: str) -> Counter[EntryId]:
        path = self.folder / name
        lines = path.read_text().split() if path.exists() else []
        return Counter(map(EntryId.parse, lines))

    def go_on(self) -> None:
        """Let all that wait go on."""
        (self.folder / "go on").touch()

    def may_go_on(self) -> bool:
        return (self.folder / "go on").exists()

    async def until_happened(self, *entry_ids: EntryId) -> None:
        await wait_until(
            lambda: set(entry_ids) <= set(self.happened()), f"{len(entry_ids)} effects"
        )

    async def until_begun(self, entry_id: EntryId) -> None:
        await wait_until(lambda: entry_id in self.begun(), f"{entry_id} is begun")


def command(log: EventLog, folder: Path, name: str) -> list[str]:
    module = "tests.consumers.support.handling_process"
    url = log.server.settings.url
    return [sys.executable, "-m", module, url, log.keys.namespace, str(folder), name]


@asynccontextmanager
async def process(log: EventLog, folder: Path, name: str) -> AsyncIterator[Process]:
    """Run one process beside the block."""
    async with await anyio.open_process(
        command(log, folder, name), cwd=ROOT, stdin=None, stdout=None, stderr=None
    ) as running:
        try:
            yield running
        finally:
            if running.returncode is None:
                running.kill()


@asynccontextmanager
async def supervised(log: EventLog, folder: Path, *names: str) -> AsyncIterator[Supervisor]:
    """Run a supervised process for each of *names* beside the block."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    supervisor = Supervisor(
        {name: command(log, folder, name) for name in names}, environment=environment
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.keep_running)
        yield supervisor
        await supervisor.stop()


async def _consume(url: str, namespace: str, folder: str, name: str) -> None:
    effects = Effects(Path(folder))

    async def handle(recorded: RecordedEvent) -> None:
        effects.begin(recorded.entry_id)
        told = getattr(recorded.event, "name", "")
        if told == "dies before":
            os.kill(os.getpid(), signal.SIGKILL)
        if told == "waits":
            await wait_until(effects.may_go_on, "it may go on", timeout_s=60.0)
        effects.happen(recorded.entry_id)
        if told == "dies after":
            os.kill(os.getpid(), signal.SIGKILL)

    async with open_log(url, namespace=namespace) as log:
        processor = HandlerProcessor(handle, SETTINGS.policy)
        consumer = Consumer(log, 0, (GROUP, name), processor, SETTINGS)
        async with stopping(consumer.stop):
            await consumer.run()


if __name__ == "__main__":
    configure_logs("critical")
    _url, _namespace, _folder, _name = sys.argv[1:]
    anyio.run(_consume, _url, _namespace, _folder, _name)
