"""A health checker as a process, which may probe this machine."""

import os
from contextlib import AsyncExitStack
from subprocess import DEVNULL

import anyio
from anyio.abc import Process

from consumers.processes.supervisor import routestream_command
from events import EventLog


async def checker_process(log: EventLog, url: str, stack: AsyncExitStack) -> Process:
    """Start a health checker, which is killed with *stack*."""
    environment = {
        **os.environ,
        "REDIS_URL": url,
        "ROUTESTREAM_NAMESPACE": log.keys.namespace,
        "ROUTESTREAM_CHECKER_NETWORKS": "127.0.0.0/8",
        "ROUTESTREAM_METRICS_PORT": "0",
    }
    process = await stack.enter_async_context(
        await anyio.open_process(
            routestream_command("checkers", "run"),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            env=environment,
        )
    )
    stack.callback(lambda: process.kill() if process.returncode is None else None)
    return process
