"""The settings of what Traefik is fed with, and how."""

from types import MappingProxyType
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from msgspec import Meta

from consumers.publishers.default_rule import DefaultRuleSettings
from events.limits import Limited, is_http_url
from events.masks import without_logins
from events.server.url import masked_url, masked_urls, parse_server_url

HOLD_S_MAX = 4.0
"""Traefik gives up a poll after 5 s, unless `providers.http.pollTimeout` says otherwise."""

SENTINELS_MAX = 15
"""Sentinels that are asked for one master."""

APIS_MAX = 100

_TEXT = r"^[A-Za-z0-9._-]{1,64}\Z(?#have 1 to 64 letters, digits, `.`, `_` or `-`)"
_REFERENCE = (
    r"^[A-Za-z0-9@._-]{1,128}\Z(?#be the name of a middleware with its provider: `auth@file`)"
)

Name = Annotated[str, Meta(pattern=_TEXT)]
Reference = Annotated[str, Meta(pattern=_REFERENCE)]


class TraefikSettings(DefaultRuleSettings, frozen=True):
    """How Traefik routes to endpoints, whichever way it is fed.

    Attributes:
        entry_points: The entry points that routers listen at; empty for Traefik's default ones.
        middlewares: Middlewares of your own that every request passes first, such as `log@file`.
        private_middlewares: Those that requests to endpoints pass which are not open to the public,
            such as `auth@file`. Without one, such endpoints can be used by whoever reaches Traefik.
        attempts: How often a request is tried, at the next replica each time, while none has taken
            it. With two replicas, one of them dead, and many requests at once, 3 failed one in ten.
        dial_timeout_s: The longest wait for a connection to a replica.
        default_certificate: Whether Traefik is given a self-signed certificate of its own. Without
            any it makes a new key at each change, which takes 80 ms. Set it to false where
            Traefik's default store has a certificate from elsewhere.
    """

    entry_points: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()
    middlewares: Annotated[tuple[Reference, ...], Meta(max_length=16)] = ()
    private_middlewares: Annotated[tuple[Reference, ...], Meta(max_length=16)] = ()
    attempts: Annotated[int, Meta(ge=1, le=10)] = 5
    dial_timeout_s: Annotated[float, Meta(ge=0.01, le=60)] = 2.0
    default_certificate: bool = True


class TraefikHttpSettings(Limited, frozen=True):
    """Where Traefik's HTTP provider reads its configuration from, each proxy at its own address.

    Attributes:
        host: The address to listen on.
        port: The port to listen on; without one there is no such publisher.
        hold_s: How long a poll is held while nothing changes; less than Traefik's `pollTimeout`.
        silent_s: Seconds without a poll after which a proxy counts as unreachable.
        apis: `PROXY=URL` for each proxy whose API shall prove what it has, such as
            `edge-1=http://edge-1:8080`. Without, a poll after the answer counts as proof.
        counters: Whether the metrics at those APIs are read, every second, to tell the health
            checkers of which endpoints requests fail.
    """

    SECRETS = MappingProxyType({"apis": without_logins})

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    hold_s: Annotated[float, Meta(ge=0.05, le=HOLD_S_MAX)] = 2.0
    silent_s: Annotated[float, Meta(ge=1, le=3_600)] = 15.0
    apis: Annotated[tuple[str, ...], Meta(max_length=APIS_MAX)] = ()
    counters: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for text in self.apis:
            proxy, _, url = text.partition("=")
            if not proxy or not is_http_url(url):
                raise ValueError("apis has an entry that is not PROXY=http://HOST:PORT")

    @property
    def api_of(self) -> dict[str, str]:
        """The URL of each proxy's API."""
        return {proxy: _bare(url) for proxy, _, url in (one.partition("=") for one in self.apis)}


class TraefikRedisSettings(Limited, frozen=True):
    """The Redis database that Traefik's Redis provider reads.

    Attributes:
        url: Its server and database, which should hold nothing else: Traefik reads through all of
            it at each change. Without it there is no such publisher.
        sentinels: The URL of each Redis Sentinel where the server is a master that they watch; host
            and port of *url* then count for nothing.
        master: What the sentinels call that master.
        root: The key under which Traefik looks, its `providers.redis.rootKey`.
        apis: The URL of each Traefik's API, which proves what it has.
        counters: Whether the metrics at those APIs are read, every second, to tell the health
            checkers of which endpoints requests fail.
    """

    SECRETS = MappingProxyType(
        {"url": masked_url, "sentinels": masked_urls, "apis": without_logins}
    )

    url: str = ""
    sentinels: Annotated[tuple[str, ...], Meta(max_length=SENTINELS_MAX)] = ()
    master: Name = "mymaster"
    root: Name = "traefik"
    apis: Annotated[tuple[str, ...], Meta(max_length=APIS_MAX)] = ()
    counters: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for url in (self.url, *self.sentinels):
            if url:
                parse_server_url(url)
        if not all(map(is_http_url, self.apis)):
            raise ValueError("apis has an entry that is not http://HOST:PORT")

    def url_at(self, host: str, port: int) -> str:
        """Return *url* with another host and port."""
        parts = urlsplit(self.url)
        login, _, _ = parts.netloc.rpartition("@")
        at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return urlunsplit(parts._replace(netloc=f"{login}@{at}" if login else at))

    @property
    def api_urls(self) -> tuple[str, ...]:
        """The URLs of the APIs."""
        return tuple(map(_bare, self.apis))


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
