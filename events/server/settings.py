"""The settings for reaching the Redis server."""

from typing import Annotated

from msgspec import Meta
from redis.asyncio.connection import parse_url

from events.limits import Limited

DEFAULT_URL = "redis://127.0.0.1:6379"


class ServerSettings(Limited, frozen=True):
    """How the server is reached.

    Attributes:
        url: `redis://`, `rediss://` or `unix://`, with the password if there is one.
        connections_max: Connections for commands; blocking reads have their own.
        timeout_s: The longest wait for a reply to a command that does not block.
    """

    url: str = DEFAULT_URL
    connections_max: Annotated[int, Meta(ge=1, le=1_000)] = 8
    timeout_s: Annotated[float, Meta(ge=0.01, le=600)] = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            parse_url(self.url)
        except ValueError as error:
            raise ValueError(_why_unusable(self.url, error)) from None


def _why_unusable(url: str, error: ValueError) -> str:
    scheme = url.partition("://")[0] if "://" in url else "none"
    if str(error).startswith("Port "):
        # The port is not shown: without an @ it may be a password.
        return (
            "the port of the Redis URL is not a number from 0 to 65535;"
            f" {scheme}://HOST:PORT/DB and {scheme}://:PASSWORD@HOST:PORT/DB are allowed"
        )
    return (
        f"the Redis URL (scheme {scheme!r}) cannot be used;"
        " redis://HOST:PORT/DB, rediss://HOST:PORT/DB and unix://PATH are allowed"
    )
