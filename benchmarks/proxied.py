"""Requests through the proxy of the examples, whose weights change; beside a fixed list of routes.

Both sides are `examples/proxy.py` in a process of its own before the same model servers, and
differ only in who chooses: a reader that follows the table, or turns over a list.
"""

import runpy
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import anyio
from aiohttp import ClientSession, web
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec.structs import replace

from benchmarks.program import Figures
from benchmarks.project import project_until_stopped, until_worked_off
from consumers.processes.logs import configure_logs
from events import (
    EndpointCreatedEvent,
    EventLog,
    RouteRecord,
    RouteTrafficRatioUpdatedEvent,
    open_log,
)
from events.entry.entry_id import START
from producers import EndpointService
from projections import Route, open_reader
from projections.route_table.route import unknown_route

AT_ONCE = 16
CHANGES_PER_S = 100
_ENDPOINT = UUID(int=0xE)
_ROUTES = (UUID(int=1), UUID(int=2))
_EXAMPLE = Path(__file__).parents[1] / "examples" / "proxy.py"


async def ours(url: str, *, count: int) -> Figures:
    """Measure *count* requests through a proxy that follows the table."""
    namespace = f"bench-{uuid4()}"
    async with (
        open_log(url, namespace=namespace) as log,
        AsyncExitStack() as running,
        anyio.create_task_group() as tasks,
    ):
        ports = [await running.enter_async_context(_process("serve")) for _ in _ROUTES]
        await _record(log, ports)
        tasks.start_soon(project_until_stopped, log)
        await until_worked_off(log)
        proxy = await running.enter_async_context(_process("follow", url, namespace))
        tasks.start_soon(_change_weights, log)
        figures = await _requests(proxy, count)
        tasks.cancel_scope.cancel()
    return figures


async def plain(_url: str, *, count: int) -> Figures:
    """Measure them through the same proxy, which takes turns over a fixed list."""
    async with AsyncExitStack() as running:
        ports = [await running.enter_async_context(_process("serve")) for _ in _ROUTES]
        proxy = await running.enter_async_context(_process("fixed", *map(str, ports)))
        return await _requests(proxy, count)


@asynccontextmanager
async def _process(role: str, *arguments: str) -> AsyncIterator[int]:
    """Run this module in *role*, and give the port on which it serves."""
    command = [sys.executable, "-m", "benchmarks.proxied", role, *arguments]
    async with await anyio.open_process(command, stderr=None, stdin=subprocess.DEVNULL) as process:
        try:
            if process.stdout is None:
                raise RuntimeError(f"{role}: no output")
            line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 200)
            yield int(line.rpartition(b":")[2])
        finally:
            if process.returncode is None:
                process.kill()


async def _record(log: EventLog, ports: list[int]) -> None:
    service = EndpointService(log)
    await service.create(EndpointCreatedEvent(endpoint_id=_ENDPOINT, name="bench", model="m"))
    await service.set_route_list(
        _ENDPOINT,
        [
            RouteRecord(
                route_id=route_id, kernel_host="127.0.0.1", kernel_port=port, status="running"
            )
            for route_id, port in zip(_ROUTES, ports, strict=True)
        ],
    )


async def _change_weights(log: EventLog) -> None:
    for weight in cycle((0.25, 0.5, 1.0, 2.0)):
        await log.append(
            RouteTrafficRatioUpdatedEvent(
                endpoint_id=_ENDPOINT, route_id=_ROUTES[0], traffic_ratio=weight
            )
        )
        await anyio.sleep(1 / CHANGES_PER_S)


async def _requests(port: int, count: int) -> Figures:
    url = f"http://127.0.0.1:{port}/{_ENDPOINT}/v1"

    async def ask(client: ClientSession) -> None:
        for _ in range(count // AT_ONCE):
            async with client.get(url, raise_for_status=True) as answer:
                await answer.read()

    async with ClientSession() as client:
        await ask(client)  # connections are open, and what is loaded late is loaded
        began_at = perf_counter()
        async with anyio.create_task_group() as clients:
            for _ in range(AT_ONCE):
                clients.start_soon(ask, client)
        return {"per_second": count / (perf_counter() - began_at)}


async def _serve() -> None:
    """Be a model server that answers at once."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="token\n")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"serving on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await anyio.sleep_forever()


async def _follow(url: str, namespace: str) -> None:
    async with open_reader(url, namespace=namespace) as reader:
        await _proxy(reader)


class _Fixed:
    """Chooses as a reader does, from a list that never changes."""

    def __init__(self, *ports: str) -> None:
        self._turns = cycle(
            replace(unknown_route(route_id, START), kernel_host="127.0.0.1", kernel_port=int(port))
            for route_id, port in zip(_ROUTES, ports, strict=True)
        )

    def choose(self, _endpoint_id: UUID) -> Route:
        return next(self._turns)

    def report(self, _route: Route, *, ok: bool) -> None:
        """Tell nobody."""


async def _fixed(*ports: str) -> None:
    await _proxy(_Fixed(*ports))


async def _proxy(table: Any) -> None:  # noqa: ANN401 - whatever chooses
    example = runpy.run_path(str(_EXAMPLE))
    async with ClientSession(timeout=example["UNENDING"], auto_decompress=False) as client:
        await example["serve"](table, client, 0)


_ROLES: dict[str, Callable[..., Any]] = {"serve": _serve, "follow": _follow, "fixed": _fixed}


def main(role: str, *arguments: str) -> None:
    """Be one of the processes."""
    configure_logs("error")
    anyio.run(_ROLES[role], *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
