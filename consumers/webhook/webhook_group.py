"""Makes the consumers of the group `webhook`, one for each partition."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.handlers.handler_work import HandlerWork
from consumers.webhook.webhook_settings import WebhookSettings
from events.log.log import EventLog
from events.structured_logger import structured_logger

WEBHOOK = "webhook"

_log = structured_logger(__name__)


def missing_webhook_setting(settings: WebhookSettings) -> str | None:
    """Return which setting the webhook needs and lacks; None for none."""
    if settings.url:
        return None
    return "the group webhook needs a URL: set webhook.url or ROUTESTREAM_WEBHOOK_URL"


@asynccontextmanager
async def webhook_consumers(
    log: EventLog, consumer: str, settings: WebhookSettings
) -> AsyncIterator[list[HandlerConsumer]]:
    """Make the consumers named *consumer*; a new group begins with the next event appended.

    The settings must have a URL: see `missing_webhook_setting`.
    """
    from consumers.webhook.webhook import open_webhook  # noqa: PLC0415 - few commands need aiohttp

    if not settings.all_secrets:
        _log.warning("webhook_unsigned", why="no secret is set; receivers cannot know who calls")
    async with open_webhook(settings, log.keys.namespace) as webhook:
        work = HandlerWork(webhook, frozenset(settings.events))
        yield [
            HandlerConsumer(log, partition, (WEBHOOK, consumer), work, settings)
            for partition in range(log.partitions)
        ]
