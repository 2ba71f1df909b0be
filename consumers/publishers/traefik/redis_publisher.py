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
from consumers.publishers.traefik.sentinels import open_sentinels
from consumers.publishers.traefik.service_counters import ServiceCounters
from consumers.publishers.traefik.stored_configuration import StoredConfiguration
from consumers.settings import Settings
from events.background import in_background
from events.errors import ServerRefusedError, ServerUnavailableError
from events.masks import without_login
from events.server.server import Server
from events.server.settings import ServerSettings
from events.structured_logger import structured_logger

REMIND_S = 5.0
"""Seconds after which a Traefik that lacks what was written is told again."""

_CLOSE_TIMEOUT_S = 1.0
_PROVIDER = "redis"
_NO_MASTER = "most sentinels of publish.traefik_redis.sentinels do not answer, or know no master {}"

_log = structured_logger(__name__)


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
    if not ours.sentinels:
        await _publish_to(ours.url, None, (feed, ledger, settings))
        return
    name = f"sentinel {ours.master} {ours.root}"
    async with open_sentinels(ours.sentinels, ours.master) as sentinels:
        master = await sentinels.master()
        if master is None:
            ledger.proxy(name).unreachable(_NO_MASTER.format(ours.master))
            master = await sentinels.master_other_than(None)
        while True:
            _log.info("master_found", master=ours.master, host=master[0], port=master[1])
            async with anyio.create_task_group() as tasks:
                given = (feed, ledger, settings)
                tasks.start_soon(_publish_to, ours.url_at(*master), name, given)
                master = await sentinels.master_other_than(master)
                tasks.cancel_scope.cancel()


async def _publish_to(
    url: str, name: str | None, given: tuple[SnapshotFeed, ProxyLedger, Settings]
) -> None:
    """Keep the keys of one server equal to the table; *name* is what the proxy is called."""
    feed, ledger, settings = given
    ours = settings.publish.traefik_redis
    server = Server(ServerSettings(url=url))
    try:
        store = KeyStore(server, ours.root)
        watches = [
            AppliedWatch(ledger.proxy(without_login(api)), api, _PROVIDER) for api in ours.api_urls
        ]
        notes = ledger.proxy(name or store.name)
        proxy = StoredConfiguration(store, settings.publish.traefik, notes, watches)
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
