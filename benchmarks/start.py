"""How long a person waits for a command: help, a short table, the first page of a long one."""

import os
import subprocess
import sys
from time import perf_counter
from uuid import uuid4

import anyio

from benchmarks.append import fill
from benchmarks.program import Figures
from benchmarks.project import project_until_stopped, until_worked_off
from benchmarks.workload import beginnings, endpoints
from consumers.processes.supervisor import routestream_command
from events import open_log

FEW, MANY = 10, 20_000

_PAGE_LINES = 24


async def measured(url: str, many: int = MANY) -> Figures:
    """Return milliseconds of each."""
    few_in, many_in = await _listed(url, FEW), await _listed(url, many)
    return {
        "python_ms": _took_ms([sys.executable, "-c", ""]),
        "help_ms": _took_ms(routestream_command("--help")),
        "few_ms": _took_ms(_ls(), {"REDIS_URL": url, "ROUTESTREAM_NAMESPACE": few_in}),
        "first_page_ms": _took_ms(
            _ls(), {"REDIS_URL": url, "ROUTESTREAM_NAMESPACE": many_in}, lines=_PAGE_LINES
        ),
    }


async def _listed(url: str, count: int) -> str:
    """Return the namespace of a log of so many endpoints, each with its document."""
    namespace = f"bench-{uuid4()}"
    async with open_log(url, namespace=namespace) as log, anyio.create_task_group() as tasks:
        await fill(log, beginnings(endpoints(count)))
        tasks.start_soon(project_until_stopped, log)
        await until_worked_off(log)
        tasks.cancel_scope.cancel()
    return namespace


def _ls() -> list[str]:
    return routestream_command("endpoints", "ls")


def _took_ms(
    command: list[str], settings: dict[str, str] | None = None, lines: int | None = None
) -> float:
    """Return milliseconds until it has ended, or has printed so many lines; the best of three."""
    return min(_once_ms(command, settings or {}, lines) for _ in range(3))


def _once_ms(command: list[str], settings: dict[str, str], lines: int | None) -> float:
    environment = {**os.environ, **settings}
    began_at = perf_counter()
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        read = process.stdout.readline if process.stdout else bytes
        count = 0
        while read():
            count += 1
            if lines is not None and count == lines:
                took_s = perf_counter() - began_at
                process.kill()
                return took_s * 1_000
    return (perf_counter() - began_at) * 1_000
