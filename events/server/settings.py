"""The settings for reaching the Redis server."""

from typing import Annotated

from msgspec import Meta

from events.limits import Limited
from events.server.url import ServerUrl, parse_server_url

DEFAULT_URL = "redis://127.0.0.1:6379"


class ServerSettings(Limited, frozen=True):
    """How the server is reached.

    Attributes:
        url: `redis://`, `rediss://` or `unix://`, with the password if there is one. Its query may
            set time-outs, TLS, the name of the connections, and no more: see the options below.
        connections_max: Connections for commands; blocking reads have their own.
        timeout_s: The longest wait for a reply to a command that does not block.
    """

    url: str = DEFAULT_URL
    connections_max: Annotated[int, Meta(ge=1, le=1_000)] = 8
    timeout_s: Annotated[float, Meta(ge=0.01, le=600)] = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_server_url(self.url)

    @property
    def server_url(self) -> ServerUrl:
        """The URL, taken apart."""
        return parse_server_url(self.url)
