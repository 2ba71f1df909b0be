"""The two ways to feed Traefik, each as a test needs it."""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from consumers.processes.embedded import EmbeddedServer, embedded_server, free_port
from consumers.processes.traefik_process import TraefikProcess
from consumers.publishers.publisher_definition import PublisherDefinition
from consumers.publishers.settings import PublishSettings
from consumers.publishers.traefik.http_publisher import TRAEFIK_HTTP
from consumers.publishers.traefik.redis_publisher import TRAEFIK_REDIS
from consumers.publishers.traefik.traefik_settings import (
    TraefikHttpSettings,
    TraefikRedisSettings,
    TraefikSettings,
)
from consumers.settings import Settings

PROXY = "edge-1"
BY_PATH = TraefikSettings(path="/endpoints/{id}")
NAMES = ("traefik-http", "traefik-redis")

_PASSWORD = "for-tests"  # noqa: S105 - of a server that ends with the test


class Dialect:
    """One way to feed Traefik.

    Attributes:
        provider: How Traefik calls it.
        options: What Traefik is started with.
        keys: The server that has the keys, if it is that way.
        proxy: How the ledger calls the Traefik.
    """

    def __init__(
        self,
        publisher: PublisherDefinition,
        publish: PublishSettings,
        options: tuple[str, ...],
        keys: EmbeddedServer | None = None,
    ) -> None:
        self.publisher, self.options, self.keys = publisher, options, keys
        self.provider = publisher.name.removeprefix("traefik-")
        self.settings = Settings(publish=publish)
        self.proxy = PROXY

    def proved_by(self, traefik: TraefikProcess) -> None:
        """Let the API of *traefik* prove what it has."""
        publish = self.settings.publish
        http = replace(publish.traefik_http, apis=(f"{PROXY}={traefik.api}",))
        redis = replace(publish.traefik_redis, apis=(traefik.api,))
        publish = replace(publish, traefik_http=http, traefik_redis=redis)
        self.settings = replace(self.settings, publish=publish)
        self.proxy = PROXY if self.keys is None else traefik.api


@contextmanager
def dialect_named(name: str, traefik: TraefikSettings = BY_PATH) -> Iterator[Dialect]:
    """Return a way to feed Traefik, with the server that it needs."""
    if name == TRAEFIK_HTTP.name:
        http = TraefikHttpSettings(port=free_port(), hold_s=0.5)
        endpoint = f"http://127.0.0.1:{http.port}/v1/traefik/{PROXY}"
        options: tuple[str, ...] = (
            f"--providers.http.endpoint={endpoint}",
            "--providers.http.pollInterval=10ms",
        )
        yield Dialect(TRAEFIK_HTTP, PublishSettings(traefik=traefik, traefik_http=http), options)
        return
    # Traefik may not switch on notifications, as in docs/publishers.md.
    user = ("--user", "traefik", "on", f">{_PASSWORD}", "~*", "&*", "+@all", "-config")
    allowed = ("--user", "default", "on", "nopass", "~*", "&*", "+@all")
    with embedded_server("--appendfsync", "always", *allowed, *user) as keys:
        redis = TraefikRedisSettings(url=f"{keys.url}/3")
        options = (
            f"--providers.redis.endpoints=127.0.0.1:{keys.port}",
            *("--providers.redis.rootKey=traefik", "--providers.redis.db=3"),
            *("--providers.redis.username=traefik", f"--providers.redis.password={_PASSWORD}"),
        )
        publish = PublishSettings(traefik=traefik, traefik_redis=redis)
        yield Dialect(TRAEFIK_REDIS, publish, options, keys)
