"""Defines the publisher `router`."""

import anyio
from aiohttp import ClientSession, TCPConnector

from consumers.publishers.proxy_ledger import ProxyLedger
from consumers.publishers.publisher_definition import PublisherDefinition
from consumers.publishers.router.fed_router import FedRouter
from consumers.publishers.router.router_api import RouterApi
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.settings import Settings


async def _publish(feed: SnapshotFeed, ledger: ProxyLedger, settings: Settings) -> None:
    ROUTER.check(settings)
    routers = settings.publish.router
    # Each router has its own bound; a common one would let one that hangs stop the others.
    async with (
        ClientSession(connector=TCPConnector(limit=0)) as session,
        anyio.create_task_group() as tasks,
    ):
        for served in routers.served:
            api = RouterApi(session, served.url, routers.request_s)
            fed = FedRouter(api, served.endpoint, ledger.proxy(served.url), routers)
            tasks.start_soon(fed.feed, feed)


def _missing(settings: Settings) -> str | None:
    if settings.publish.router.routers:
        return None
    return "publish.router.routers is empty: give ENDPOINT=URL, such as chat=http://10.0.0.5:30000"


ROUTER = PublisherDefinition(
    name="router",
    about="vllm-router and sglang-router, by their workers",
    publish=_publish,
    section="publish.router",
    missing_setting=_missing,
)
"""Adds and removes the workers of routers that come with model servers."""
