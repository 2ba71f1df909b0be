"""Real processes of the group backend-ai, for tests that kill them."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from subprocess import DEVNULL

import anyio

from consumers.processes.supervisor import routestream_command
from events.log.log import EventLog
from tests.consumers.support.backend_ai import GROUP, Cluster
from tests.consumers.support.group_process import GroupProcess
from tests.consumers.support.handler_group import owner
from tests.support.waiting import wait_until


class BackendAIProcesses:
    """Starts processes that record what one cluster says."""

    def __init__(self, log: EventLog, url: str, played: Cluster, stack: AsyncExitStack) -> None:
        self._log = log
        self._url = url
        self._played = played
        self._stack = stack

    async def start(self, name: str) -> GroupProcess:
        """Start a consumer *name*; return when it owns the stream."""
        started = await self.spawn(name)

        async def owns() -> bool:
            assert started.process.returncode is None, f"{name} ended by itself"
            return await owner(self._played.stream, GROUP) == name

        await wait_until(owns, f"{name} owns the stream", timeout_s=30.0)
        return started

    async def spawn(self, name: str) -> GroupProcess:
        """Start a consumer *name*, and return at once."""
        settings = self._played.settings
        environment = {
            **os.environ,
            "REDIS_URL": self._url,
            "ROUTESTREAM_NAMESPACE": self._log.keys.namespace,
            "ROUTESTREAM_BACKEND_AI_URL": settings.url,
            "ROUTESTREAM_BACKEND_AI_STREAM": settings.stream,
            "ROUTESTREAM_BACKEND_AI_BLOCK_MS": str(settings.block_ms),
            "ROUTESTREAM_BACKEND_AI_LEASE_MS": str(settings.lease_ms),
        }
        process = await self._stack.enter_async_context(
            await anyio.open_process(
                routestream_command("consume", "backend-ai", "--consumer", name),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=DEVNULL,
                env=environment,
            )
        )
        started = GroupProcess(process, name)
        self._stack.callback(started.end)
        return started


@asynccontextmanager
async def backend_ai_processes(
    log: EventLog, url: str, played: Cluster
) -> AsyncIterator[BackendAIProcesses]:
    """Let the block start processes; none of them outlives it."""
    async with AsyncExitStack() as stack:
        yield BackendAIProcesses(log, url, played, stack)
