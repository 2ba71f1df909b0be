"""Project: one projector process beside a plain redis-py loop, over the same backlog.

Ours reads, decodes, folds, compares revisions, writes documents, feeds changes and acknowledges in
one step. The plain loop reads, decodes, keeps a dict of each route's fields, writes it with HSET
and acknowledges: two of it would lose updates, and so does a crash between the two.
"""

import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any
from uuid import uuid4

import anyio
import msgspec
from redis.asyncio import Redis

from benchmarks.append import fill
from benchmarks.workload import beginnings, changes, endpoints
from consumers.cli.program import collect_rarely
from consumers.processes.logs import configure_logs
from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.projector import Projector
from events import EventLog, open_log
from projections import ROUTE_TABLE

EVENTS = 60_000
PLAIN_BATCH = 1_000


async def ours(url: str) -> float:
    """Return events per second of one projector process."""
    return await _measured(url, "ours")


async def plain(url: str) -> float:
    """Return events per second of the plain loop."""
    return await _measured(url, "plain")


async def _measured(url: str, which: str) -> float:
    """Fill a log, and let a process of its own work it off."""
    namespace = f"bench-{uuid4()}"
    of = endpoints()
    async with open_log(url, namespace=namespace) as log:
        await fill(log, beginnings(of))
        if which == "ours":
            await Projector(log, ROUTE_TABLE, 0, ConsumerSettings().policy).prepare()
        await fill(log, list(changes(of, EVENTS)))
        command = [sys.executable, "-m", "benchmarks.project", which, url, namespace]
        done = await anyio.run_process(command, stderr=None)
        await log.server.client.call("UNLINK", log.keys.events(0))
    return float(done.stdout)


async def _project(url: str, namespace: str) -> float:
    async with open_log(url, namespace=namespace) as log:
        began_at = perf_counter()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(project_until_stopped, log)
            await until_worked_off(log)
            took_s = perf_counter() - began_at
            tasks.cancel_scope.cancel()
        return (EVENTS + 2 * len(endpoints())) / took_s


async def project_until_stopped(log: EventLog, ready: Callable[[], None] | None = None) -> None:
    """Run one projector of the route table, as `routestream consume` does."""
    settings = ConsumerSettings()
    projector = Projector(log, ROUTE_TABLE, 0, settings.policy)
    await projector.prepare()
    if ready is not None:
        ready()
    await Consumer(log, 0, (ROUTE_TABLE.read_model, "bench"), projector, settings).run()


async def until_worked_off(log: EventLog) -> None:
    """Return when the one group there is has nothing left to do."""
    while True:
        await anyio.sleep(0.01)
        groups = await log.server.client.execute_command("XINFO GROUPS", log.keys.events(0))
        if groups and groups[0]["lag"] == 0 and groups[0]["pending"] == 0:
            return


async def _loop(url: str, namespace: str) -> float:
    stream, group = f"{{{namespace}:0}}:events", "plain"
    state: dict[str, dict[str, Any]] = {}
    done = 0
    async with Redis.from_url(url, protocol=2) as client:
        await client.xgroup_create(stream, group, "0")
        began_at = perf_counter()
        read: Any = client.xreadgroup
        while reply := await read(group, "c", {stream: ">"}, PLAIN_BATCH):
            ids, changed = [], {}
            for entry_id, fields in reply[0][1]:
                payload = msgspec.json.decode(fields[b"payload"])
                one = payload["endpoint_id"]
                document = state.setdefault(one, {})
                document[payload.get("route_id", "endpoint")] = payload
                changed[one] = document
                ids.append(entry_id)
            pipeline = client.pipeline(transaction=False)
            for one, document in changed.items():
                pipeline.hset(f"{stream}:table", one, msgspec.json.encode(document))
            pipeline.xack(stream, group, *ids)
            await pipeline.execute()
            done += len(ids)
        return done / (perf_counter() - began_at)


def main(which: str, url: str, namespace: str) -> None:
    """Be the process that is measured."""
    configure_logs("warning")
    collect_rarely()
    sys.stdout.write(str(anyio.run({"ours": _project, "plain": _loop}[which], url, namespace)))


if __name__ == "__main__":
    main(*sys.argv[1:])
