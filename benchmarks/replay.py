"""Replay: a rebuild's fold beside the plain loop, and what else a replay costs.

The plain loop reads with XRANGE and decodes each payload with msgspec, nothing else. Ours folds
into a read model: every endpoint's state is there in the end, and its document encoded.
"""

import resource
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import msgspec
from redis.asyncio import Redis

from benchmarks.append import fill
from benchmarks.peers.stopwatch import print_figures
from benchmarks.program import Figures, figures_of, python
from benchmarks.project import project_until_stopped, until_worked_off
from benchmarks.workload import beginnings, changes, endpoints
from consumers.cli.program import collect_rarely
from consumers.cli.replay.progress import TimeLeft
from consumers.processes.logs import configure_logs
from events import EntryId, EventLog, open_log
from projections import HEALTH_STATE, ROUTE_TABLE
from projections.projection import Projection
from projections.read_model.store import ReadModelStore
from projections.replay.folding import Folding
from projections.replay.rebuild import Phase, Rebuild
from projections.replay.rebuild_plan import RebuildPlan, rebuild_plan
from projections.replay.replay import only
from projections.snapshots.as_of import as_of
from projections.snapshots.snapshot import SnapshotSettings
from projections.snapshots.snapshot_store import Snapshots

ENDPOINTS = 10_000

SINCE_SNAPSHOT_MAX = 100_000
"""Entries, at most, that are folded behind the snapshot for one endpoint as of a moment."""

_FILL = 20_000

_SILENT_SHARE = 0.05
"""Of the entries: what was told before is not held against the time left."""


async def filled(url: str, events: int) -> str:
    """Return the namespace of a log of so many events."""
    namespace = f"bench-{uuid4()}"
    of = endpoints(ENDPOINTS)
    async with open_log(url, namespace=namespace) as log:
        await fill(log, beginnings(of))
        # The first event of a process costs more; what comes in portions needs no list of all.
        more = changes(of, max(0, events - 2 * ENDPOINTS))
        while portion := [event for event, _ in zip(more, range(_FILL), strict=False)]:
            await fill(log, portion)
    return namespace


async def compared(url: str, events: int) -> dict[str, Figures]:
    """Return what each role measured, over one log of so many events."""
    namespace = await filled(url, events)
    return {
        role: await figures_of(*python("benchmarks.replay", role, url, namespace))
        for role in _ROLES
    }


async def _plain(url: str, namespace: str) -> dict[str, float]:
    stream, start, done = f"{{{namespace}:0}}:events", "-", 0
    decode = msgspec.json.Decoder().decode
    began_at, used_s = perf_counter(), process_time()
    async with Redis.from_url(url, protocol=2) as client:
        while True:
            raw: Any = await client.xrange(stream, start, "+", 1_000)
            for _, fields in raw:
                decode(fields[b"payload"])
            done += len(raw)
            if len(raw) < 1_000:
                return _rates(done, began_at, used_s)
            start = f"({raw[-1][0].decode()}"


def _rates(done: int, began_at: float, used_s: float) -> dict[str, float]:
    """Events by the clock, and by the time that this process had a core: others use them, too."""
    return {
        "per_second": done / (perf_counter() - began_at),
        "per_core_second": done / (process_time() - used_s),
    }


class _Told:
    """What a rebuild tells while it runs: its rate, and how far off its time left was."""

    def __init__(self, plan: RebuildPlan, folding: Folding[Any]) -> None:
        self._plan = plan
        self._folding = folding
        self._time_left = TimeLeft(plan.endpoints, compares=plan.live is not None)
        self._ends: list[float] = []
        self.rates: dict[str, float] = {}
        self.began_at, self._used_s = perf_counter(), process_time()

    def note(self, phase: Phase, done: int, of: int, _at: EntryId) -> None:
        folding = self._folding
        if phase == "write" and not self.rates:
            self.rates = _rates(folding.entries, self.began_at, self._used_s)
        left_s = self._time_left.left_s(phase, done, of, folding.held)
        if left_s is not None and folding.entries >= _SILENT_SHARE * self._plan.entries:
            self._ends.append(perf_counter() + left_s)

    def off_most(self) -> float:
        """Return how far off it was at most, as a share of the whole."""
        ended_at = perf_counter()
        took_s = ended_at - self.began_at
        return max((abs(one - ended_at) / took_s for one in self._ends), default=0.0)


async def _rebuild(projection: Projection[Any], url: str, namespace: str) -> dict[str, float]:
    async with open_log(url, namespace=namespace) as log:
        store = ReadModelStore(log.server, log.keys, projection, 0)
        folding = Folding(projection, 0)
        plan = await rebuild_plan(log, store, folding)
        told = _Told(plan, folding)
        await Rebuild(log, store, folding, note=told.note).run()
        took_s, off_most = perf_counter() - told.began_at, told.off_most()
    return {
        **told.rates,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
        "planned_mb": plan.memory_bytes / 1e6,
        "took_s": took_s,
        "eta_off_most": off_most,
    }


async def _swap(url: str, namespace: str) -> dict[str, float]:
    """Rebuild under live changes; tell how long the live group could not apply."""
    of = endpoints(ENDPOINTS)
    async with open_log(url, namespace=namespace) as log, anyio.create_task_group() as tasks:
        live = anyio.Event()
        tasks.start_soon(project_until_stopped, log, live.set)
        await live.wait()
        tasks.start_soon(_live_load, log, of)
        store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
        group = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
        await _until_settled(log)
        done = await Rebuild(log, store, Folding(ROUTE_TABLE, 0)).run()
        back = await group.live_generation()
        tasks.cancel_scope.cancel()
    differ = -1 if done.comparison is None else len(done.comparison.mismatches)
    return {
        "swap_ms": done.swap_s * 1_000,
        "tries": done.swap_tries,
        "differ": differ,
        "generation": back or 0,
    }


async def _live_load(log: EventLog, of: Any) -> None:  # noqa: ANN401 - the workload's endpoints
    while True:
        for event in changes(of, 10_000):
            await log.append(event)
            await anyio.lowlevel.checkpoint()


async def _until_settled(log: EventLog) -> None:
    while True:
        await anyio.sleep(0.05)
        groups = await log.server.client.execute_command("XINFO GROUPS", log.keys.events(0))
        if groups and groups[0]["lag"] is not None and groups[0]["lag"] < 1_000:
            return


async def _snapshot(url: str, namespace: str) -> dict[str, float]:
    """Take a snapshot, append more, and ask for one endpoint as of a moment behind it."""
    of = endpoints(ENDPOINTS)
    async with open_log(url, namespace=namespace) as log:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(project_until_stopped, log)
            await until_worked_off(log)
            tasks.cancel_scope.cancel()
        with TemporaryDirectory() as folder:
            snapshots = Snapshots(log, 0, SnapshotSettings(folder))
            store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
            await snapshots.take(store)
            began_at, used_s = perf_counter(), process_time()
            manifest, _ = await snapshots.take(store)
            take_s, take_core_s = perf_counter() - began_at, process_time() - used_s
            length = int(await log.server.client.execute_command("XLEN", log.keys.events(0)))
            since = min(SINCE_SNAPSHOT_MAX, length // 10)
            await fill(log, list(changes(of, since)))
            endpoint_id = of[0][0]
            began_at, used_s = perf_counter(), process_time()
            folding = await as_of(log, ROUTE_TABLE, snapshots, await log.head(0), only(endpoint_id))
            as_of_s, as_of_core_s = perf_counter() - began_at, process_time() - used_s
            if folding.states[endpoint_id].version <= manifest.at:
                raise AssertionError("nothing was folded behind the snapshot")
            size = (Path(snapshots.folder) / manifest.file).stat().st_size
    return {
        "take_s": take_s,
        "take_core_s": take_core_s,
        "as_of_s": as_of_s,
        "as_of_core_s": as_of_core_s,
        "bytes": size,
    }


_ROLES: dict[str, Callable[[str, str], Awaitable[Figures]]] = {
    "plain": _plain,
    "fold route-table": partial(_rebuild, ROUTE_TABLE),
    "fold health-state": partial(_rebuild, HEALTH_STATE),
    "swap": _swap,
    "snapshot": _snapshot,
}


def main(which: str, url: str, namespace: str) -> None:
    """Be the process that is measured."""
    configure_logs("error")
    collect_rarely()
    found = anyio.run(_ROLES[which], url, namespace)
    print_figures(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
