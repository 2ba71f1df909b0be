"""Writes the route table as keys for Traefik's Redis provider."""

from contextlib import suppress
from functools import partial

import anyio
from aiohttp import ClientSession
from anyio.abc import TaskStatus

from consumers.errors import MissingSettingError
from consumers.publishers.proxy_ledger import ProxyLedger
from consumers.publishers.publisher_definition import PublisherDefinition
from consumers.publishers.pushing import push
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.publishers.traefik.applied_watch import AppliedWatch
from consumers.publishers.traefik.key_store import KeyStore
from consumers.publishers.traefik.service_counters import ServiceCounters
from consumers.publishers.traefik.stored_configuration import StoredConfiguration
from consumers.settings import Settings
from events.background import in_background
from events.errors import ServerRefusedError, ServerUnavailableError
from events.server.server import Server
from events.server.settings import ServerSettings
from events.server.url import without_login

REMIND_S = 5.0
"""Seconds after which a Traefik that lacks what was written is told again."""

_CLOSE_TIMEOUT_S = 1.0
_PROVIDER = "redis"


async def publish_traefik_redis(
    feed: SnapshotFeed, ledger: ProxyLedger, settings: Settings
) -> None:
    """Keep the keys equal to the newest snapshot until cancelled.

    Raises:
        MissingSettingError: There is no database to write to.
    """
    if (problem := _missing(settings)) is not None:
        raise MissingSettingError(problem)
    ours = settings.publish.traefik_redis
    server = Server(ServerSettings(url=ours.url))
    try:
        store = KeyStore(server, ours.root)
        watches = [
            AppliedWatch(ledger.proxy(without_login(api)), api, _PROVIDER) for api in ours.api_urls
        ]
        proxy = StoredConfiguration(
            store, settings.publish.traefik, ledger.proxy(store.name), watches
        )
        async with ClientSession() as session:
            looks = [partial(watch.run, session) for watch in watches]
            if ours.counters:
                looks += [partial(ServiceCounters(api, feed).run, session) for api in ours.api_urls]
            async with in_background(*looks, partial(_remind, proxy)):
                await push(feed, proxy)
    finally:
        with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
            await server.aclose()


async def _remind(
    proxy: StoredConfiguration, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    task_status.started()
    while True:
        await anyio.sleep(REMIND_S)
        with suppress(ServerUnavailableError, ServerRefusedError):
            await proxy.remind()


def _missing(settings: Settings) -> str | None:
    if settings.publish.traefik_redis.url:
        return None
    return "publish.traefik_redis.url is not set: the database that Traefik's Redis provider reads"


TRAEFIK_REDIS = PublisherDefinition(
    name="traefik-redis",
    about="Traefik, by its Redis provider",
    publish=publish_traefik_redis,
    section="publish.traefik_redis",
    missing_setting=_missing,
)
