"""Defines the publisher `backend-ai`, in the form that the settings choose."""

from consumers.publishers.backend_ai.bulk_target import BulkTarget
from consumers.publishers.backend_ai.coordinator_api import open_coordinator
from consumers.publishers.proxy_ledger import ProxyLedger
from consumers.publishers.publisher_definition import PublisherDefinition
from consumers.publishers.pushing import push
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.settings import Settings


async def publish_to_backend_ai(feed: SnapshotFeed, ledger: ProxyLedger, all_of: Settings) -> None:
    """Keep the coordinator equal to the table until cancelled."""
    settings = all_of.publish.backend_ai
    notes = ledger.proxy(settings.coordinator_url)
    async with open_coordinator(settings) as api:
        target = BulkTarget(api, notes, settings)
        await push(feed, target, reconcile_s=settings.reconcile_s)


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
