"""Defines the publisher `envoy`."""

import anyio
from aiohttp import ClientSession

from consumers.publishers.envoy.discovery_server import discovery_server
from consumers.publishers.envoy.host_counters import HostCounters
from consumers.publishers.proxy_ledger import ProxyLedger
from consumers.publishers.publisher_definition import PublisherDefinition
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.settings import Settings
from events.structured_logger import structured_logger

_log = structured_logger(__name__)


async def _publish(feed: SnapshotFeed, ledger: ProxyLedger, settings: Settings) -> None:
    ENVOY.check(settings)
    ours = settings.publish.envoy
    async with (
        discovery_server(feed, ledger, ours) as url,
        ClientSession() as session,
        anyio.create_task_group() as counting,
    ):
        _log.info("discovery_served", url=url)
        for admin in ours.admin_urls:
            counting.start_soon(HostCounters(admin, feed).run, session)
        await anyio.sleep_forever()


def _missing(settings: Settings) -> str | None:
    if settings.publish.envoy.port is not None:
        return None
    return "publish.envoy.port is not set: the port where Envoy asks, such as 18000"


ENVOY = PublisherDefinition(
    name="envoy",
    about="Envoy, by the REST form of its discovery protocol",
    publish=_publish,
    section="publish.envoy",
    missing_setting=_missing,
)
"""Serves listeners, routes, clusters and endpoints to Envoys that ask for them."""
