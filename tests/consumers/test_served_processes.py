"""What real processes serve: a supervisor at its port, its processes at the ports after it."""

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from subprocess import DEVNULL

import aiohttp
import anyio
from anyio.abc import Process

from consumers.processes.embedded import free_port
from consumers.processes.supervisor import routestream_command
from consumers.runtime.projector import Projector
from events import EventLog
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.exposition import Asked
from tests.support.running_consumer import (
    QUICK,
    consumer_of,
    consuming,
    created,
    until_settled,
)
from tests.support.waiting import wait_until

REFUSED = (aiohttp.ClientConnectionError, TimeoutError)


def free_ports(count: int) -> int:
    """Return the first of so many free ports in a row."""
    while True:
        port = free_port()
        with ExitStack() as held:
            try:
                for number in range(1, count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port + number))
            except (OSError, OverflowError):
                continue
            return port


@asynccontextmanager
async def running(log: EventLog, url: str, *arguments: str) -> AsyncIterator[Process]:
    environment = {**os.environ, "REDIS_URL": url, "ROUTESTREAM_NAMESPACE": log.keys.namespace}
    command = routestream_command(*arguments)
    async with await anyio.open_process(
        command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, env=environment
    ) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def until_answered(asked: Asked, path: str) -> None:
    async def answers() -> bool:
        try:
            return (await asked.told(path))[0] == 200
        except REFUSED:
            return False

    await wait_until(answers, f"{asked.url}{path} answers")


async def test_a_supervisor_and_its_processes_serve_side_by_side_and_still_end_at_once(
    log: EventLog, redis_url: str
) -> None:
    port = free_ports(3)
    arguments = ("consume", "route-table", "--processes", "2", "--metrics-port", str(port))
    async with (
        running(log, redis_url, *arguments) as process,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
    ):
        supervisor, *processes = (Asked(f"http://127.0.0.1:{port + n}", session) for n in range(3))
        await until_answered(supervisor, "/readyz")
        for one in processes:
            await until_answered(one, "/readyz")
        await log.append(*(created() for _ in range(20)))
        await until_settled(log, "route-table")

        async def handled() -> bool:
            told = [await one.samples() for one in processes]
            return sum(one["entries_handled_total route-table 0"] for one in told) == 20

        await wait_until(handled, "both together handled all")
        told = await supervisor.samples()
        assert told == {
            **{f"process_restarts_total route-table-{n}": 0 for n in range(2)},
            **{f"process_running route-table-{n}": 1 for n in range(2)},
        }
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(10):
            assert await process.wait() == 0


async def test_a_checker_serves_too(log: EventLog, redis_url: str) -> None:
    port = free_ports(1)
    async with (
        running(log, redis_url, "checkers", "run", "--metrics-port", str(port)),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
    ):
        asked = Asked(f"http://127.0.0.1:{port}", session)
        await until_answered(asked, "/livez")
        status, body = await asked.told("/readyz")
        assert (status, body["problems"][0]["why"]) == (503, "it waits for the route table")
        projector = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
        async with consuming(consumer_of(log, projector, group=ROUTE_TABLE.name)):
            await until_answered(asked, "/readyz")
        samples = await asked.samples()
        assert (samples["checkers_living"], samples["checkers_dead"]) == (1, 0)
        assert (samples["health_stale_routes"], samples["server_up"]) == (0, 1)
