"""docket: one task for an event, which does nothing; 50 at a time.

Its pool of connections is too small for 100 at a time. While 50 run, its worker looks for more as
often as `minimum_check_interval` says: every 250 ms unless it is told otherwise, as it is here.
"""

import asyncio
import logging
from datetime import timedelta

from docket import Docket, Worker

from benchmarks.peers.status_event import payloads, place
from benchmarks.peers.stopwatch import Stopwatch, print_figures

_CHECK = timedelta(milliseconds=5)


async def handle(_event: str) -> None:
    """Do nothing."""


async def _work() -> None:
    url, name, count = place()
    async with Docket(name=name, url=url) as docket:
        for event in payloads(count):
            await docket.add(handle)(event.decode())  # each `add` is one task
        async with Worker(docket, concurrency=50, minimum_check_interval=_CHECK) as worker:
            watch = Stopwatch(url)
            await worker.run_until_finished()
            print_figures(watch.stop(count))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    asyncio.run(_work())
