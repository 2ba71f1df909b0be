"""Groups: what a death, a stop and doing nothing cost, and how many connections many keep.

All processes are real ones. A frozen process is given entries by the server and does nothing with
them, so that they are pending with it when it is killed.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from subprocess import DEVNULL
from time import perf_counter
from uuid import uuid4

import anyio
import msgspec
from anyio.abc import Process
from msgspec.structs import asdict
from redis.asyncio import Redis

from benchmarks.append import fill
from benchmarks.program import Figures
from benchmarks.server_use import cpu_s
from benchmarks.workload import beginnings, endpoints
from consumers.processes.embedded import embedded_server
from consumers.processes.logs import configure_logs
from consumers.processes.stopping import stopping
from consumers.processes.supervisor import routestream_command
from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.outcome import RetryPolicy
from consumers.runtime.processor import HandlerProcessor
from events import EventLog, open_log
from events.entry.recorded import RecordedEvent
from events.errors import NoGroupError
from events.streams.waiting_connections import connection_name
from projections import ROUTE_TABLE

CLAIM_IDLE_MS = 1_000
IDLE_S = 10.0
PROCESSES = 24
_GROUP = ROUTE_TABLE.read_model
_FEW = 10
_LOOK_EVERY_S = 0.002
_WAIT_S = 120.0


class Idle(msgspec.Struct, frozen=True):
    """What one process that has nothing to do costs."""

    core_percent: float
    commands_per_s: float


class Connections(msgspec.Struct, frozen=True):
    """How many connections the processes of all groups have together."""

    idle: int
    most: int
    bound: int


async def measured(url: str) -> dict[str, Figures]:
    """Return what a death, a stop and doing nothing cost, and how many connections there are."""
    return {
        "takeover": {
            "after_kill_ms": await takeover_after_kill_ms(url),
            "after_stop_ms": await takeover_after_stop_ms(url),
        },
        "idle process": asdict(await idle()),
        f"connections of {PROCESSES} processes": asdict(await connections(url)),
    }


async def takeover_after_kill_ms(url: str) -> float:
    """Return milliseconds from a consumer's death until another has handled its entries."""
    async with _processes(url, {"CLAIM_IDLE_MS": str(CLAIM_IDLE_MS)}) as (log, start):
        running = {name: await start(name) for name in ("first", "second")}
        for process in running.values():
            process.send_signal(signal.SIGSTOP)
        await fill(log, beginnings(endpoints(_FEW)))
        [holder] = await _until_held(log)
        for name, process in running.items():
            process.send_signal(signal.SIGKILL if name == holder else signal.SIGCONT)
        return await _until_handled_ms(log, _GROUP)


async def takeover_after_stop_ms(url: str) -> float:
    """Return milliseconds from SIGTERM until another has handled what waited for its next try."""
    async with _processes(url, {}) as (log, start):
        failing = await start("failing", _role("fail", log))
        await fill(log, beginnings(endpoints(_FEW)))
        await _until_held(log)
        await start("handling", _role("handle", log))
        failing.send_signal(signal.SIGTERM)
        return await _until_handled_ms(log, _GROUP)


async def idle() -> Idle:
    """Measure one process with the settings there are without any, on a server of its own."""
    with embedded_server() as server:
        async with _processes(server.url, {}) as (log, start):
            process = await start("idle")
            await fill(log, beginnings(endpoints(_FEW)))
            await _until_handled_ms(log, _GROUP)
            await anyio.sleep(IDLE_S / 4)
            used_s, began_at = cpu_s(process.pid), perf_counter()
            commands = await _commands(server.url)
            took_s = perf_counter() - began_at
            return Idle(100 * (cpu_s(process.pid) - used_s) / took_s, commands / took_s)


async def connections(url: str) -> Connections:
    """Count the connections of many processes, when nothing happens and when much does."""
    async with _processes(url, {}) as (log, start):
        per_group = PROCESSES // 2
        command = routestream_command("consume", "--all", "--processes", str(per_group))
        ours = await log.server.client.execute_command("CLIENT", "ID")
        await start("all", command)
        await _until(lambda: _reading(log), PROCESSES)
        quiet = await _others(log, ours)
        most = quiet
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                nonlocal most
                while True:
                    most = max(most, await _others(log, ours))
                    await anyio.sleep(_LOOK_EVERY_S)

            tasks.start_soon(watch)
            await fill(log, beginnings(endpoints()))
            for group in ("route-table", "health-state"):
                await _until_handled_ms(log, group)
            tasks.cancel_scope.cancel()
        bound = PROCESSES * (log.partitions + log.server.settings.connections_max)
        return Connections(quiet, most, bound)


Start = Callable[..., Awaitable[Process]]


@asynccontextmanager
async def _processes(
    url: str, settings: Mapping[str, str]
) -> AsyncIterator[tuple[EventLog, Start]]:
    """Open a log of its own, and what starts processes on it; none outlives the block."""
    namespace = f"bench-{uuid4()}"
    environment = {
        **os.environ,
        "REDIS_URL": url,
        "ROUTESTREAM_NAMESPACE": namespace,
        **{f"ROUTESTREAM_CONSUMER_{name}": value for name, value in settings.items()},
    }
    async with open_log(url, namespace=namespace) as log, AsyncExitStack() as stack:

        async def start(name: str, command: list[str] | None = None) -> Process:
            process = await anyio.open_process(
                command or routestream_command("consume", _GROUP, "--consumer", name),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=DEVNULL,
                env=environment,
            )
            stack.push_async_callback(_end, process)
            if name != "all":
                waits_on = connection_name(log.keys, 0, _GROUP, name)
                await _until(lambda: _reading(log, waits_on), 1)
            return process

        yield log, start


async def _end(process: Process) -> None:
    """Let it end, with all that it started."""
    with anyio.move_on_after(20, shield=True):
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        await process.wait()
    if process.returncode is None:
        process.kill()


def _role(role: str, log: EventLog) -> list[str]:
    name = f"{role}ing" if role == "fail" else "handling"
    url = log.server.settings.url
    return [sys.executable, "-m", "benchmarks.groups", role, url, log.keys.namespace, name]


async def _until(count: Callable[[], Awaitable[int]], wanted: int) -> None:
    with anyio.fail_after(_WAIT_S):
        while await count() < wanted:  # noqa: ASYNC110 - what is outside has no event
            await anyio.sleep(_LOOK_EVERY_S)


async def _reading(log: EventLog, name: str | None = None) -> int:
    """Count the connections on which consumers wait."""
    clients = await log.server.client.execute_command("CLIENT LIST")
    reading = [one for one in clients if one["cmd"] == "xreadgroup" and "b" in one["flags"]]
    return len([one for one in reading if name in {None, one["name"]}])


async def _others(log: EventLog, ours: int) -> int:
    return len(
        [c for c in await log.server.client.execute_command("CLIENT LIST") if int(c["id"]) != ours]
    )


async def _until_held(log: EventLog) -> set[str]:
    """Return the consumers that have all there is pending with them."""
    with anyio.fail_after(_WAIT_S):
        while True:
            raw = await log.server.client.execute_command(
                "XPENDING", log.keys.events(0), _GROUP, "-", "+", 10 * _FEW
            )
            if len(raw) == 2 * _FEW:
                return {name.decode() for _, name, _, _ in raw}
            await anyio.sleep(_LOOK_EVERY_S)


async def _until_handled_ms(log: EventLog, group: str) -> float:
    """Return milliseconds until *group* has nothing left to do."""
    began_at = perf_counter()
    with anyio.fail_after(_WAIT_S):
        while not await _is_handled(log, group):  # noqa: ASYNC110 - see _until
            await anyio.sleep(_LOOK_EVERY_S)
    return (perf_counter() - began_at) * 1_000


async def _is_handled(log: EventLog, group: str) -> bool:
    try:
        groups = await log.server.client.execute_command("XINFO GROUPS", log.keys.events(0))
    except NoGroupError:
        return False
    return any(
        one["name"] == group.encode() and one["lag"] == 0 and one["pending"] == 0 for one in groups
    )


async def _commands(url: str) -> int:
    """Count for a while the commands that clients send, a script as one."""
    sent = 0
    async with Redis.from_url(url, protocol=2) as client, client.monitor() as monitor:
        with anyio.move_on_after(IDLE_S):
            async for command in monitor.listen():
                sent += command["client_type"] != "lua"
    return sent


async def _consume(role: str, url: str, namespace: str, name: str) -> None:
    async def handle(_recorded: RecordedEvent) -> None:
        if role == "fail":
            raise ValueError("not yet")

    policy = RetryPolicy(first_s=600.0, most_s=600.0)
    settings = ConsumerSettings(claim_idle_ms=600_000, policy=policy)
    async with open_log(url, namespace=namespace) as log:
        consumer = Consumer(log, 0, (_GROUP, name), HandlerProcessor(handle, policy), settings)
        async with stopping(consumer.stop):
            await consumer.run()


def main(role: str, url: str, namespace: str, name: str) -> None:
    """Be one of the processes."""
    configure_logs("critical")
    anyio.run(_consume, role, url, namespace, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
