"""Take a replica out of service, and read where a request may go: the README's example."""

import os
from uuid import UUID

import anyio

from events import open_log
from producers import EndpointService
from projections import open_reader

CHAT = UUID("c4a70000-0000-4000-8000-000000000000")
GPU_0 = UUID("0a1b0000-0000-4000-8000-000000000001")


async def main() -> None:
    """Print the routes that share the traffic of chat once the first replica is out."""
    async with open_log(os.environ["REDIS_URL"]) as log, open_reader(log) as reader:
        await EndpointService(log).record_status(CHAT, GPU_0, "unhealthy", reason="GPU lost")
        while GPU_0 in [route.route_id for route in reader.routable(CHAT)]:
            await reader.changed()
        for route in reader.routable(CHAT):
            print(f"{route.kernel_host}:{route.kernel_port} weight {route.traffic_ratio:g}")


anyio.run(main)
