"""Lists the publishers that can be run."""

from consumers.errors import UnknownPublisherError
from consumers.publishers.backend_ai.publisher import BACKEND_AI
from consumers.publishers.envoy.envoy_publisher import ENVOY
from consumers.publishers.publisher_definition import PublisherDefinition
from consumers.publishers.router.router_publisher import ROUTER
from consumers.publishers.traefik.http_publisher import TRAEFIK_HTTP
from consumers.publishers.traefik.redis_publisher import TRAEFIK_REDIS
from consumers.settings import Settings
from events.plugins import PUBLISHERS as ENTRY_POINTS
from events.plugins import Catalogue, InvalidPluginError, broken_plugins
from events.structured_logger import structured_logger

_log = structured_logger(__name__)

SHIPPED: tuple[PublisherDefinition, ...] = (BACKEND_AI, ENVOY, ROUTER, TRAEFIK_HTTP, TRAEFIK_REDIS)


def _usable(name: str, found: object) -> PublisherDefinition:
    """Return the publisher that a plugin provides.

    Raises:
        InvalidPluginError: It is not a publisher, or has another name.
    """
    if not isinstance(found, PublisherDefinition):
        raise InvalidPluginError(f"{found!r} is no consumers.PublisherDefinition")
    if found.name != name:
        raise InvalidPluginError(f"its name is {found.name!r}, the entry point's is {name!r}")
    return found


PUBLISHERS = Catalogue(ENTRY_POINTS, {one.name: one for one in SHIPPED}, _usable)
"""Every publisher that can be run, by its name."""


def publisher_named(name: str) -> PublisherDefinition:
    """Return the publisher *name*.

    Raises:
        UnknownPublisherError: There is none; the message names those that exist, and the plugins
            that are skipped.
    """
    if name not in PUBLISHERS:
        skipped = "".join(f"; {plugin}" for plugin in broken_plugins())
        raise UnknownPublisherError(
            f"publisher {name!r} is not one of {', '.join(PUBLISHERS)}{skipped}"
        )
    return PUBLISHERS[name]


def set_up_publishers(settings: Settings) -> list[str]:
    """Return the publishers that can run with *settings*."""
    return [name for name, one in PUBLISHERS.items() if _can_run(one, settings)]


def _can_run(publisher: PublisherDefinition, settings: Settings) -> bool:
    try:
        return publisher.missing_setting(settings) is None
    except Exception as error:  # noqa: BLE001 - an installed publisher may raise anything
        told = f"{type(error).__name__}: {error}"
        _log.warning("publisher_left_out", publisher=publisher.name, error=told)
        return False
