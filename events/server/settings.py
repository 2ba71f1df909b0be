"""The settings for reaching the Redis server."""

from types import MappingProxyType
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from events.limits import Limited
from events.masks import hidden
from events.server.credentials import read_password
from events.server.url import ServerUrl, masked_url, parse_server_url

DEFAULT_URL = "redis://127.0.0.1:6379"


class ServerSettings(Limited, frozen=True):
    """How the server is reached.

    Attributes:
        url: `redis://`, `rediss://`, `unix://`, `sentinel://`, `sentinels://`, `cluster://` or
            `clusters://`, with the password if there is one. Its query may set time-outs, TLS, the
            name of the connections, and no more: see the options below.
        password: The password, where the URL has none: in the environment it is in no process's
            arguments.
        password_file: A file whose first line is the password, where the URL has none. It is read
            at each connect: a new password is taken without a restart.
        connections_max: Connections for commands; blocking reads have their own.
        timeout_s: The longest wait for a reply to a command that does not block.
    """

    SECRETS = MappingProxyType({"url": masked_url, "password": hidden})

    url: str = DEFAULT_URL
    password: Annotated[str, Meta(min_length=1, max_length=4_096)] | None = None
    password_file: Annotated[str, Meta(min_length=1, max_length=4_096)] | None = None
    connections_max: Annotated[int, Meta(ge=1, le=1_000)] = 8
    timeout_s: Annotated[float, Meta(ge=0.01, le=600)] = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_url = parse_server_url(self.url).password
        given = {"in url": in_url, "password": self.password, "password_file": self.password_file}
        places = [place for place, secret in given.items() if secret is not None]
        if len(places) > 1:
            raise ValueError(f"the password is given twice: {' and '.join(places)}; give it once")
        if self.password_file is not None:
            read_password(self.password_file)

    @property
    def server_url(self) -> ServerUrl:
        """The URL, taken apart, with the password that was given beside it."""
        url = parse_server_url(self.url)
        return url if self.password is None else replace(url, password=self.password)
