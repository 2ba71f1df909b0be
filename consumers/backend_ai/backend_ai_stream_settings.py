"""The settings of the group `backend-ai`: where Backend.AI's Redis is, and what is read there."""

from types import MappingProxyType
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from events.limits import Limited
from events.server.settings import ServerSettings
from events.server.url import masked_url, parse_server_url
from events.server.url_options import DATABASE_MAX

Database = Annotated[int, Meta(ge=0, le=DATABASE_MAX)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class BackendAIStreamSettings(Limited, frozen=True):
    """Where Backend.AI's own events are read.

    Attributes:
        url: `redis://`, `rediss://` or `unix://`, without a database; without it nothing is read.
        stream_database: The database of the stream; what the group keeps lies there, too.
        live_database: The database of the hand-off keys.
        stream: The key of the stream.
        group: The name of our group in that stream; Backend.AI's own groups must not have it.
        lease_ms: How long the stream stays with a process that gives no sign of life.
        block_ms: The longest wait for new entries.
        timeout_s: The longest wait for a reply to a command that does not block.
    """

    SECRETS = MappingProxyType({"url": masked_url})

    url: str = ""
    stream_database: Database = 4
    live_database: Database = 2
    stream: Name = "events"
    group: Name = "routestream"
    lease_ms: Annotated[int, Meta(ge=100, le=3_600_000)] = 5_000
    block_ms: Annotated[int, Meta(ge=10, le=60_000)] = 5_000
    timeout_s: Annotated[float, Meta(ge=0.01, le=600)] = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.url and parse_server_url(self.url).database:
            raise ValueError("url names a database; give stream_database and live_database")
        if self.group in BACKEND_AI_GROUPS:
            raise ValueError(f"group is {self.group!r}, which is Backend.AI's own; choose another")

    def server_of(self, database: int) -> ServerSettings:
        """Return how *database* of Backend.AI's Redis is reached."""
        mark = "&" if urlsplit(self.url).query else "?"
        url = f"{self.url.rstrip('?')}{mark}db={database}"
        return ServerSettings(url=url, timeout_s=self.timeout_s)


BACKEND_AI_GROUPS = frozenset(
    {"manager", "agent", "storage-proxy", "appproxy-coordinator", "appproxy-worker"}
)
"""The groups of Backend.AI's components: a reader among them would take entries from them."""
