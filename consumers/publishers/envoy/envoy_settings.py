"""The settings of what is served to Envoy, and of what Envoy is told to do with it."""

from types import MappingProxyType
from typing import Annotated

from msgspec import Meta

from consumers.publishers.default_rule import DefaultRuleSettings
from events.limits import is_http_url
from events.masks import without_logins

_Port = Annotated[int, Meta(ge=1, le=65_535)]
_Host = Annotated[str, Meta(min_length=1, max_length=255)]
_Name = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}\Z(?#be letters, digits, '_', '.', '-')")
]


class EnvoySettings(DefaultRuleSettings, frozen=True, kw_only=True):
    """Where Envoy asks for its configuration, and what it is given.

    Attributes:
        host: The address to listen on for Envoy. Whoever reaches it can read the route table.
        port: The port for Envoy, such as 18000; without one there is no such publisher.
        hold_s: The longest time for which a request is held until something changes. Envoy waits
            less long where its `request_timeout` says so.
        refresh_delay_ms: How soon Envoy asks again for routes and endpoints. With hundreds of
            endpoints 100 is better: it is also the wait after a failed request for each of them.
        cluster_name: What Envoy's own configuration calls the cluster of this process.
        listener_host: The address on which Envoy listens for clients.
        listener_port: The port for clients.
        idle_timeout_s: How long a request may go without a byte in either direction; 0: for ever.
        admins: The URL of each Envoy's admin interface, such as `http://10.0.0.7:9901`. Its
            counters, read every second, tell the health checkers which routes fail.
        connect_timeout_s: How long Envoy waits for a route's connection before it tries another.
    """

    SECRETS = MappingProxyType({"admins": without_logins})

    host: _Host = "127.0.0.1"
    port: _Port | None = None
    hold_s: Annotated[float, Meta(ge=0.01, le=300)] = 10.0
    refresh_delay_ms: Annotated[int, Meta(ge=1, le=60_000)] = 10
    cluster_name: _Name = "routestream"
    listener_host: _Host = "0.0.0.0"  # noqa: S104 - the proxy's clients come from anywhere
    listener_port: _Port = 10_000
    idle_timeout_s: Annotated[float, Meta(ge=0, le=86_400)] = 3_600.0
    admins: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    connect_timeout_s: Annotated[float, Meta(ge=0.01, le=60)] = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(map(is_http_url, self.admins)):
            raise ValueError("admins has an entry that is not http://HOST:PORT")

    @property
    def admin_urls(self) -> tuple[str, ...]:
        """The URLs of the admin interfaces, without a slash at their ends."""
        return tuple(url.rstrip("/") for url in self.admins)
