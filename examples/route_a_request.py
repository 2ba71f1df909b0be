"""Record an event, and read where a request may go: the README's example."""

import os
from uuid import UUID

import anyio

from events import open_log
from producers import EndpointService
from projections import open_reader

CHAT = UUID("c4a70000-0000-4000-8000-000000000000")
ROUTE = UUID("0a1b0000-0000-4000-8000-000000000001")


async def main() -> None:
    """Take a replica out, and wait until this process knows."""
    async with open_log(os.environ["REDIS_URL"]) as log, open_reader(log) as reader:
        await EndpointService(log).record_status(CHAT, ROUTE, "unhealthy", reason="GPU lost")
        while ROUTE in [route.route_id for route in reader.routable(CHAT)]:
            await reader.changed()
        for route in reader.routable(CHAT):
            print(f"{route.kernel_host}:{route.kernel_port} weight {route.traffic_ratio:g}")


anyio.run(main)
