"""Growth: what an event costs when the log is long, and what it takes of the server's memory."""

from uuid import uuid4

from redis.asyncio import Redis

from benchmarks.append import fill
from benchmarks.peers.status_event import payloads
from benchmarks.program import Figures
from benchmarks.warm_projection import Backlog, filled, projected_there
from benchmarks.workload import endpoints, statuses
from events import open_log


async def cost_at(url: str, *, lengths: tuple[int, ...], events: int) -> dict[str, Figures]:
    """Return what projecting *events* more costs in a log that grows to each of *lengths*."""
    namespace = f"bench-{uuid4()}"
    measured: dict[str, Figures] = {}
    backlog = Backlog(1_000, events, "statuses")
    length = await filled(url, namespace, "beginnings", backlog)
    for wanted in lengths:
        more = Backlog(1_000, max(0, wanted - length), "statuses")
        length += await filled(url, namespace, "statuses", more)
        figures = await projected_there(url, namespace, backlog)
        cpu_us = figures["client_us"] + figures["server_us"]
        measured[str(wanted)] = {**figures, "cpu_us": cpu_us}
        length += events + backlog.endpoints
    return measured


async def server_memory(url: str, count: int) -> dict[str, Figures]:
    """Return the server's bytes for an event, ours with heads and all, and for a plain XADD."""
    async with Redis.from_url(url, protocol=2) as client:

        async def used() -> int:
            return int((await client.info("memory"))["used_memory"])

        async with open_log(url, namespace="memory") as log:
            before = await used()
            await fill(log, list(statuses(endpoints(), count)))
        ours = (await used() - before) / count
        before = await used()
        pipeline = client.pipeline(transaction=False)
        for event in payloads(count):
            pipeline.xadd("bench", {"payload": event})
        await pipeline.execute()
        plain = (await used() - before) / count
    return {"routestream": {"bytes": ours}, "plain XADD": {"bytes": plain}}
