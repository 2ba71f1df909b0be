"""Real processes of a group, for tests that kill them."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from subprocess import DEVNULL

import anyio
from anyio.abc import Process

from consumers.processes.supervisor import routestream_command
from events.log.log import EventLog
from events.streams.waiting_connections import connection_name
from tests.support.waiting import wait_until

CLAIM_IDLE_MS = 1_000


class GroupProcess:
    """One process of a group, which can be stopped in its tracks, or killed."""

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self.name = name

    def freeze(self) -> None:
        """Let it stand still between two of its steps."""
        self.process.send_signal(signal.SIGSTOP)

    async def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        with anyio.fail_after(10):
            await self.process.wait()

    def end(self) -> None:
        """End it at once if it runs; whoever has started it does not wait."""
        if self.process.returncode is None:
            self.process.kill()

    async def stop(self) -> int:
        """Let it finish, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(20):
            return await self.process.wait()


class Processes:
    """Starts processes that consume one deployment's log."""

    def __init__(self, log: EventLog, url: str, stack: AsyncExitStack) -> None:
        self._log = log
        self._url = url
        self._stack = stack

    async def start(
        self,
        group: str,
        name: str,
        *,
        url: str | None = None,
        batch_size: int = 10_000,
        snapshots: str = "snapshots",
        block_ms: int | None = None,
    ) -> GroupProcess:
        """Start a consumer *name* of *group*; return when it consumes.

        With *block_ms* it is then in the middle of a wait on the server, which is so long.
        """
        environment = {
            **os.environ,
            "REDIS_URL": url or self._url,
            "ROUTESTREAM_NAMESPACE": self._log.keys.namespace,
            "ROUTESTREAM_CONSUMER_CLAIM_IDLE_MS": str(CLAIM_IDLE_MS),
            "ROUTESTREAM_CONSUMER_BLOCK_MS": str(block_ms or 100),
            "ROUTESTREAM_CONSUMER_BATCH_SIZE": str(batch_size),
            "ROUTESTREAM_SNAPSHOTS_DIRECTORY": snapshots,
        }
        process = await self._stack.enter_async_context(
            await anyio.open_process(
                routestream_command("consume", group, "--consumer", name),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=DEVNULL,
                env=environment,
            )
        )
        started = GroupProcess(process, name)
        self._stack.callback(started.end)

        async def consumes() -> bool:
            assert process.returncode is None, f"{group} {name} ended by itself"
            waits_on = connection_name(self._log.keys, 0, group, name)
            clients = await self._log.server.client.execute_command("CLIENT LIST")
            flags = [one["flags"] for one in clients if one["name"] == waits_on]
            return any("b" in one or block_ms is None for one in flags)

        await wait_until(consumes, f"{name} consumes for {group}")
        return started


@asynccontextmanager
async def processes(log: EventLog, url: str) -> AsyncIterator[Processes]:
    """Let the block start processes; none of them outlives it."""
    async with AsyncExitStack() as stack:
        yield Processes(log, url, stack)
