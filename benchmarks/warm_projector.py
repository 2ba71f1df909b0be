"""One projector that holds its documents already, measured over a backlog of changes.

It folds what there is, says `warm`, and does nothing more until it is told to go. The same file
runs in the tree of an older commit, whose modules have other places.
"""

import resource
import sys
from importlib import import_module
from itertools import islice
from typing import Any

import anyio
import anyio.to_thread
from redis.asyncio import Redis

from benchmarks import workload
from benchmarks.append import fill
from benchmarks.peers.stopwatch import Stopwatch, print_figures
from events import EventLog, open_log
from projections import ROUTE_TABLE

_LOOK_EVERY_S = 0.005
_FILL = 10_000


def _found(name: str, *modules: str) -> Any:  # noqa: ANN401 - whatever has that name
    """Return *name* of the first of *modules* that there is in this tree."""
    for module in modules:
        try:
            return getattr(import_module(module), name)
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError(f"{name}: none of {', '.join(modules)}")


_Consumer = _found("Consumer", "consumers.runtime.consumer", "consumers.consumer")
_ConsumerSettings = _found("ConsumerSettings", "consumers.runtime.consumer", "consumers.consumer")
_Projector = _found("Projector", "consumers.runtime.projector", "consumers.projector")
_collect_rarely = _found("collect_rarely", "consumers.cli.program", "consumers.garbage")
_configure_logs = _found("configure_logs", "consumers.processes.logs", "consumers.logs")


class _Gate:
    """Lets a projector work while it is open."""

    def __init__(self, projector: Any) -> None:  # noqa: ANN401 - of either tree
        self._projector = projector
        self.open = anyio.Event()
        self.open.set()
        self.prepare, self.idle = projector.prepare, projector.idle

    async def process(self, batch: Any) -> Any:  # noqa: ANN401 - of either tree
        await self.open.wait()
        return await self._projector.process(batch)


async def _project(url: str, namespace: str, partition: int, events: int) -> None:
    """Project one partition; *events* are those of all partitions together."""
    settings = _ConsumerSettings()
    group = getattr(ROUTE_TABLE, "read_model", None) or ROUTE_TABLE.name
    async with open_log(url, namespace=namespace) as log, anyio.create_task_group() as tasks:
        gate = _Gate(_Projector(log, ROUTE_TABLE, partition, settings.policy))
        consumer = _Consumer(log, partition, (group, f"bench-{partition}"), gate, settings)
        tasks.start_soon(consumer.run)
        await _until_worked_off(log, partition)
        # What was built from the log is not held yet; a change of each endpoint makes it so.
        print("built", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        await _until_worked_off(log, partition)
        gate.open = anyio.Event()
        print("warm", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        watch = Stopwatch(url)
        gate.open.set()
        await _until_worked_off(log, partition)
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
        print_figures({**watch.stop(events), "memory_mb": memory_mb})
        tasks.cancel_scope.cancel()


async def _until_worked_off(log: EventLog, partition: int) -> None:
    """Look on a connection that waits as long as a busy machine lets it."""
    async with Redis.from_url(log.server.settings.url, protocol=2) as client:
        while True:
            await anyio.sleep(_LOOK_EVERY_S)
            groups = await client.xinfo_groups(log.keys.events(partition))
            if groups and groups[0]["lag"] == 0 and groups[0]["pending"] == 0:
                return


async def _fill(url: str, namespace: str, kind: str, endpoints: int, events: int) -> None:
    """Append the beginnings, or *events* of a kind that `workload` yields."""
    of = workload.endpoints(endpoints)
    async with open_log(url, namespace=namespace) as log:
        made = (
            workload.beginnings(of) if kind == "beginnings" else getattr(workload, kind)(of, events)
        )
        left, filled = iter(made), 0
        while part := list(islice(left, _FILL)):
            await fill(log, part)
            filled += len(part)
    print_figures({"events": filled})


def main(role: str, url: str, namespace: str, *arguments: str) -> None:
    """Be one of the processes."""
    _configure_logs("warning")
    _collect_rarely()
    if role == "project":
        partition, events = map(int, arguments)
        anyio.run(_project, url, namespace, partition, events)
    else:
        kind, endpoints, events_of_kind = arguments
        anyio.run(_fill, url, namespace, kind, int(endpoints), int(events_of_kind))


if __name__ == "__main__":
    main(*sys.argv[1:])
