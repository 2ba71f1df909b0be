"""Readers: what each change of the route table costs the server while many proxies follow it.

Whole readers are `RouteTableReader`s, each with connections of its own, many in one process. So
many share the cores of this machine that theirs is the time that a change takes; light ones are
connections that send for each change what a reader sends, XREAD and HMGET, and decode nothing.
"""

import os
import selectors
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from statistics import median, quantiles
from subprocess import PIPE
from time import monotonic, monotonic_ns
from typing import Any
from uuid import UUID, uuid4

import anyio
import msgspec
from hiredis import Reader, pack_command
from rich.console import Console
from rich.table import Table

from benchmarks.append import fill
from benchmarks.checker import Child
from benchmarks.project import project_until_stopped, until_worked_off
from benchmarks.server_use import ServerUse, server_use
from benchmarks.workload import beginnings, endpoints
from consumers.cli.program import collect_rarely
from consumers.processes.embedded import embedded_server
from consumers.processes.logs import configure_logs
from events import EventLog, ModelServiceStatusEvent, open_log
from events.log.keys import Keys
from projections import ROUTE_TABLE, RouteTableReader, open_reader
from projections.read_model.store import ReadModelStore

PROCESSES = 2
WHOLE_MAX = 20
"""Whole readers that two cores carry beside the server: 200 need four cores for ten changes/s."""

_WAIT_S = 120.0


class FollowedLoad(msgspec.Struct, frozen=True):
    """How much is measured: changes one after the other, so many a second, seen by each reader."""

    endpoints: int
    changes: int
    per_second: int
    readers: tuple[int, ...]
    idle_s: float


WHOLE = FollowedLoad(endpoints=1_000, changes=400, per_second=10, readers=(1, 20, 200), idle_s=20.0)
SHORT = FollowedLoad(endpoints=100, changes=20, per_second=20, readers=(1, 20), idle_s=1.0)


class ReaderCost(msgspec.Struct, frozen=True):
    """What so many readers cost the server, and when the last of them had a change.

    *second* is for a second in which nothing changes, *change* for one change beside that; both
    are for everything there is, so that what none at all cost has to be taken away. *late_ms* are
    median and 99th percentile from append to the last reader.
    """

    second: ServerUse
    change: ServerUse
    late_ms: tuple[float, float]
    kb_a_reader: float


async def measured(url: str, load: FollowedLoad, kind: str, readers: int) -> ReaderCost:
    """Measure with so many *readers* of that *kind*."""
    namespace = f"bench-{uuid4()}"
    of = endpoints(load.endpoints)
    async with (
        open_log(url, namespace=namespace) as log,
        _child("project", url, namespace) as projector,
    ):
        await projector.line()
        await fill(log, beginnings(of))
        await until_worked_off(log)
        client = log.server.client
        before = (await client.execute_command("INFO", "memory"))["used_memory"]
        async with AsyncExitStack() as stack:
            shares = [len(range(n, readers, PROCESSES)) for n in range(min(readers, PROCESSES))]
            started = [_child(kind, url, namespace, share) for share in shares]
            children = [await stack.enter_async_context(child) for child in started]
            for child in children:
                await child.line()
            memory = (await client.execute_command("INFO", "memory"))["used_memory"] - before
            begun = await server_use(client)
            await anyio.sleep(load.idle_s)
            second = (await server_use(client) - begun) / load.idle_s
            begun, began_at = await server_use(client), monotonic()
            began = await _change(log, of, load)
            seen = await _all_seen(children, began)
            took = (await server_use(client) - begun) / (monotonic() - began_at) - second
            change = took / (load.changes / (monotonic() - began_at))
    late = [(max(at) - began[number]) / 1e6 for number, at in seen.items()]
    percentile = (median(late), quantiles(late, n=100)[-1]) if late else (0.0, 0.0)
    return ReaderCost(second, change, percentile, memory / max(1, readers) / 1_000)


async def _change(log: EventLog, of: Any, load: FollowedLoad) -> dict[str, int]:  # noqa: ANN401 - the workload's endpoints
    """Append changes at their rate, and return when each append began."""
    began: dict[str, int] = {}
    began_at = monotonic()
    for number in range(load.changes):
        endpoint_id, routes = of[number % len(of)]
        began[str(number)] = monotonic_ns()
        await log.append(
            ModelServiceStatusEvent(
                endpoint_id=endpoint_id,
                route_id=routes[0].route_id,
                new_status="healthy",
                reason=str(number),
            )
        )
        await anyio.sleep(max(0.0, began_at + (number + 1) / load.per_second - monotonic()))
    await until_worked_off(log)
    return began


async def _all_seen(children: list[Child], began: dict[str, int]) -> dict[str, list[int]]:
    """Return for each change when the last reader of each process had it."""
    found: dict[str, list[int]] = {}
    for child in children:
        await child.tell(str(len(began)))
        with anyio.fail_after(_WAIT_S):
            seen = msgspec.json.decode(await child.line(), type=dict[str, int])
        for number, at in seen.items():
            found.setdefault(number, []).append(at)
    return found


@asynccontextmanager
async def _child(role: str, *given: object) -> AsyncIterator[Child]:
    command = [sys.executable, "-m", "benchmarks.readers", role, *map(str, given)]
    async with await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


class _SeenChanges:
    """When the last of so many readers had each change."""

    def __init__(self, readers: int) -> None:
        self._readers = readers
        self._noted: set[tuple[object, str]] = set()
        self._last: dict[str, int] = {}

    def note(self, reader: object, number: str) -> None:
        if (reader, number) not in self._noted:
            self._noted.add((reader, number))
            self._last[number] = monotonic_ns()

    def is_whole(self, changes: int) -> bool:
        return len(self._noted) >= changes * self._readers

    def said(self) -> str:
        return f"{msgspec.json.encode(self._last).decode()}\n"


async def _project(url: str, namespace: str) -> None:
    async with open_log(url, namespace=namespace) as log:
        await project_until_stopped(log, partial(_say, "ready\n"))


async def _read_whole(url: str, namespace: str, readers: str) -> None:
    seen = _SeenChanges(int(readers))
    async with AsyncExitStack() as stack:
        for _ in range(int(readers)):
            reader = await stack.enter_async_context(open_reader(url, namespace=namespace))
            reader.listen(partial(_note_changes, seen, reader))
        _say("ready\n")
        changes = int(await anyio.to_thread.run_sync(sys.stdin.readline))
        while not seen.is_whole(changes):
            await reader.changed()
        _say(seen.said())


def _note_changes(
    seen: _SeenChanges, reader: RouteTableReader, changed: Iterable[UUID] | None
) -> None:
    whole = reader.endpoints() if changed is None else map(reader.endpoint, changed)
    for endpoint in whole:
        for route in () if endpoint is None else endpoint.routes.values():
            if route.health_reason is not None:
                seen.note(reader, route.health_reason)


async def _read_light(url: str, namespace: str, readers: str) -> None:
    async with open_log(url, namespace=namespace) as log:
        store = ReadModelStore(log.server, Keys(namespace), ROUTE_TABLE, 0)
        generation, cursor = await store.live_generation(), await store.last_change()
    connections = _LightReaders(url, store.changes, f"{{{namespace}:0}}:route-table:{generation}")
    await anyio.to_thread.run_sync(connections.follow, int(readers), cursor)


class _LightReaders:
    """Connections that follow the change feed, and ask for each document that changed."""

    def __init__(self, url: str, feed: str, documents: str) -> None:
        host, _, port = url.removeprefix("redis://").partition(":")
        self._address = host, int(port)
        self._feed = feed
        self._documents = documents

    def follow(self, readers: int, cursor: bytes) -> None:
        seen, waiting = _SeenChanges(readers), selectors.DefaultSelector()
        for _ in range(readers):
            connection = socket.create_connection(self._address)
            self._wait(connection, cursor)
            waiting.register(connection, selectors.EVENT_READ, Reader())
        waiting.register(sys.stdin, selectors.EVENT_READ)
        _say("ready\n")
        changes: int | None = None
        while changes is None or not seen.is_whole(changes):
            for ready, _ in waiting.select():
                if ready.data is None:
                    changes = int(sys.stdin.readline())
                    waiting.unregister(sys.stdin)
                else:
                    self._take(ready.fileobj, ready.data, seen)
        _say(seen.said())

    def _take(self, connection: Any, replies: Any, seen: _SeenChanges) -> None:  # noqa: ANN401 - a socket and its parser
        replies.feed(connection.recv(1_000_000))
        while (answer := replies.gets()) is not False:
            if isinstance(answer[0], bytes):
                for document in answer:
                    reason = document.partition(b'"health_reason":"')[2]
                    seen.note(connection, reason.partition(b'"')[0].decode())
                continue
            entries = answer[0][1]
            names = {name for _, flat in entries for name in flat[-1].split()[::2]}
            asked: Any = ("HMGET", self._documents, *names)
            connection.sendall(pack_command(asked))
            self._wait(connection, entries[-1][0])

    def _wait(self, connection: Any, cursor: bytes) -> None:  # noqa: ANN401 - a socket
        read: Any = ("XREAD", "COUNT", 500, "BLOCK", 0, "STREAMS", self._feed, cursor)
        connection.sendall(pack_command(read))


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


async def measure(table: Table, load: FollowedLoad) -> None:
    """Measure each number of readers of each kind, on a server of its own."""
    with embedded_server() as server:
        alone = await measured(server.url, load, "light", 0)
    for kind in ("whole", "light"):
        for readers in load.readers:
            if kind == "whole" and readers > WHOLE_MAX:
                continue
            with embedded_server() as server:
                figures = await measured(server.url, load, kind, readers)
            each = [
                (figures.second - alone.second) / readers,
                (figures.change - alone.change) / readers,
            ]
            row = [one for use in each for one in (use.cpu_us, use.commands, use.bytes_out / 1_000)]
            row += [*figures.late_ms, figures.kb_a_reader]
            table.add_row(f"{readers:,} {kind}", *(f"{one:,.1f}" for one in row))


def table_of(load: FollowedLoad) -> Table:
    """Return the table that `measure` fills: what one reader costs the server."""
    a_second, a_change = (
        (f"CPU US A {unit}", f"COMMANDS A {unit}", f"KB OUT A {unit}")
        for unit in ("SECOND", "CHANGE")
    )
    late = ("LAST: P50 MS", "LAST: P99 MS", "SERVER KB")
    return Table(f"READERS, {load.endpoints:,} ENDPOINTS", *a_second, *a_change, *late, box=None)


_ROLES: dict[str, Callable[..., Awaitable[None]]] = {
    "project": _project,
    "whole": _read_whole,
    "light": _read_light,
}


def main(role: str = "", *given: str) -> None:
    """Print the table: `python -m benchmarks.readers [short]`; or be one of the processes."""
    if role in _ROLES:
        configure_logs("error")
        collect_rarely()
        anyio.run(_ROLES[role], *given)
        return
    load = SHORT if role == "short" else WHOLE
    table = table_of(load)
    anyio.run(measure, table, load)
    Console(width=160).print(table)
    Console().print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main(*sys.argv[1:])
