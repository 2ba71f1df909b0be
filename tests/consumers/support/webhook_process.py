"""Real processes of the group webhook, for tests that kill them and stop them in their tracks."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from subprocess import DEVNULL

import anyio

from consumers.processes.supervisor import routestream_command
from consumers.webhook.webhook_group import WEBHOOK
from events.log.log import EventLog
from tests.consumers.support.group_process import GroupProcess
from tests.consumers.support.handler_group import owner
from tests.consumers.support.receiver import Receiver
from tests.support.waiting import wait_until

LEASE_MS = 4_000


class WebhookProcesses:
    """Starts processes that POST one deployment's events to one receiver."""

    def __init__(self, log: EventLog, url: str, receiver: Receiver, stack: AsyncExitStack) -> None:
        self._log = log
        self._url = url
        self._receiver = receiver
        self._stack = stack

    async def start(
        self, name: str, *, owns: bool = True, settings: Mapping[str, int] | None = None
    ) -> GroupProcess:
        """Start a consumer *name*; return when it owns the partition, or stands by."""
        started = await self.spawn(name, settings)

        async def is_there() -> bool:
            assert started.process.returncode is None, f"{name} ended by itself"
            return await (self._owns(name) if owns else self._stands_by(name))

        await wait_until(is_there, f"{name} is there", 60.0)
        return started

    async def spawn(self, name: str, settings: Mapping[str, int] | None = None) -> GroupProcess:
        """Start a consumer *name*, and return at once."""
        return await self._start(name, ("--consumer", name), settings)

    async def supervise(self, processes: int, settings: Mapping[str, int]) -> GroupProcess:
        """Start a supervisor of so many processes, and return at once."""
        return await self._start("supervisor", ("--processes", str(processes)), settings)

    async def _start(
        self, name: str, members: Sequence[str], settings: Mapping[str, int] | None
    ) -> GroupProcess:
        given = {"lease_ms": LEASE_MS, "block_ms": 100, **(settings or {})}
        environment = {
            **os.environ,
            "REDIS_URL": self._url,
            "ROUTESTREAM_NAMESPACE": self._log.keys.namespace,
            "ROUTESTREAM_WEBHOOK_URL": self._receiver.url,
            **{f"ROUTESTREAM_WEBHOOK_{field.upper()}": str(v) for field, v in given.items()},
        }
        process = await self._stack.enter_async_context(
            await anyio.open_process(
                routestream_command("consume", WEBHOOK, *members),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=DEVNULL,
                env=environment,
            )
        )
        started = GroupProcess(process, name)
        self._stack.callback(started.end)
        return started

    async def _owns(self, name: str) -> bool:
        return await owner(self._log, WEBHOOK) == name

    async def _stands_by(self, name: str) -> bool:
        return bool(
            await self._log.server.client.call("HEXISTS", self._log.keys.processes, name)
        ) and not await self._owns(name)


@asynccontextmanager
async def webhook_processes(
    log: EventLog, url: str, receiver: Receiver
) -> AsyncIterator[WebhookProcesses]:
    """Let the block start processes; none of them outlives it."""
    async with AsyncExitStack() as stack:
        yield WebhookProcesses(log, url, receiver, stack)
