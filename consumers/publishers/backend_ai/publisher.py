"""Defines the publisher `backend-ai`, in the form that the settings choose."""

from contextlib import AsyncExitStack

from consumers.errors import MissingSettingError
from consumers.publishers.backend_ai.bulk_coordinator import BulkCoordinator
from consumers.publishers.backend_ai.coordinator_api import open_coordinator
from consumers.publishers.backend_ai.core_redis import open_core_redis
from consumers.publishers.backend_ai.handoff_coordinator import HandoffCoordinator
from consumers.publishers.backend_ai.settings import BackendAISettings
from consumers.publishers.backend_ai.unavailable_server import unavailable_server
from consumers.publishers.proxy_ledger import ProxyLedger
from consumers.publishers.publisher_definition import PublisherDefinition
from consumers.publishers.pushing import PushedProxy, push
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.settings import Settings
from events.server.url import parse_server_url


async def publish_to_backend_ai(feed: SnapshotFeed, ledger: ProxyLedger, all_of: Settings) -> None:
    """Keep the coordinator equal to the table until cancelled.

    Raises:
        MissingSettingError: The form needs a setting that is not there.
    """
    if (problem := missing_setting(all_of)) is not None:
        raise MissingSettingError(problem)
    settings = all_of.publish.backend_ai
    async with AsyncExitStack() as stack:
        proxy = await _open_proxy(stack, ledger, settings)
        await push(feed, proxy, reconcile_s=settings.reconcile_s)


async def _open_proxy(
    stack: AsyncExitStack, ledger: ProxyLedger, settings: BackendAISettings
) -> PushedProxy:
    api = None
    if settings.coordinator_url:
        api = await stack.enter_async_context(open_coordinator(settings))
    if settings.form == "bulk" and api is not None:
        return BulkCoordinator(api, ledger.proxy(settings.coordinator_url), settings)
    if settings.placeholder_port:
        await stack.enter_async_context(unavailable_server(settings.placeholder_port))
    redis = await stack.enter_async_context(open_core_redis(settings))
    name = f"redis://{parse_server_url(settings.redis_url).address}"
    return HandoffCoordinator(redis, api, ledger.proxy(name), settings)


def missing_setting(all_of: Settings) -> str | None:
    """Return which setting the chosen form needs and lacks."""
    settings = all_of.publish.backend_ai
    section = "publish.backend_ai"
    if settings.form == "bulk" and not settings.coordinator_url:
        return f"backend-ai needs the coordinator's address: set {section}.coordinator_url"
    if settings.form == "handoff" and not settings.redis_url:
        return f"backend-ai needs the coordinator's core Redis: set {section}.redis_url"
    if settings.coordinator_url and not settings.token:
        return f"backend-ai needs the coordinator's api_secret: set {section}.token"
    return None


BACKEND_AI = PublisherDefinition(
    name="backend-ai",
    about="Backend.AI's AppProxy: its HTTP API, or Redis keys and an event",
    publish=publish_to_backend_ai,
    section="publish.backend_ai",
    missing_setting=missing_setting,
)
