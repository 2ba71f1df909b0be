"""Project: one projector process, as other benchmarks run it, and a plain redis-py loop beside it.

Ours reads, decodes, folds, compares revisions, writes documents, feeds changes and acknowledges in
one step. The plain loop reads, decodes, keeps a dict of each route's fields, writes it with HSET
and acknowledges: two of it would lose updates, and so does a crash between the two.
"""

import sys
from collections.abc import Callable
from typing import Any

import anyio
import msgspec
from redis.asyncio import Redis

from benchmarks.peers.stopwatch import Stopwatch, print_figures
from consumers.cli.program import collect_rarely
from consumers.processes.logs import configure_logs
from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.projector import Projector
from events import EventLog
from projections import ROUTE_TABLE

PLAIN_BATCH = 1_000


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
    # A connection that waits as long as a busy machine lets it.
    async with Redis.from_url(log.server.settings.url, protocol=2) as client:
        while True:
            await anyio.sleep(0.01)
            groups = await client.xinfo_groups(log.keys.events(0))
            if groups and groups[0]["lag"] == 0 and groups[0]["pending"] == 0:
                return


async def _loop(url: str, namespace: str) -> None:
    stream, group = f"{{{namespace}:0}}:events", "plain"
    state: dict[str, dict[str, Any]] = {}
    done = 0
    async with Redis.from_url(url, protocol=2) as client:
        await client.xgroup_create(stream, group, "0")
        watch = Stopwatch(url)
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
        print_figures(watch.stop(done))


def main(url: str, namespace: str) -> None:
    """Be the plain loop."""
    configure_logs("warning")
    collect_rarely()
    anyio.run(_loop, url, namespace)


if __name__ == "__main__":
    main(*sys.argv[1:])
