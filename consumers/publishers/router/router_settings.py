"""The settings of the routers that are fed."""

from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from events.limits import Limited, is_http_url

ROUTERS_MAX = 1_000


class ServedRouter(msgspec.Struct, frozen=True):
    """One router.

    Attributes:
        endpoint: The endpoint that it serves, by its id or its name.
        url: Where it listens, without a slash at the end.
    """

    endpoint: str
    url: str


class RouterSettings(Limited, frozen=True, kw_only=True):
    """Which routers are fed, each with the workers of one endpoint.

    Attributes:
        routers: `ENDPOINT=URL` for each router: the endpoint's id or name, and where the router
            listens, such as `chat=http://10.0.0.5:30000`. Without one there is no such publisher.
        poll_s: Seconds between two looks at what a router has; it forgets all when it restarts.
        request_s: The longest time for one request to a router.
        add_s: The longest time for adding one worker: a router waits for one that does not answer.
    """

    routers: Annotated[tuple[str, ...], Meta(max_length=ROUTERS_MAX)] = ()
    poll_s: Annotated[float, Meta(ge=0.05, le=60)] = 1.0
    request_s: Annotated[float, Meta(ge=0.1, le=60)] = 5.0
    add_s: Annotated[float, Meta(ge=0.1, le=600)] = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        urls = [served_router(text).url for text in self.routers]
        for url in urls:
            if urls.count(url) > 1:
                raise ValueError(f"routers has {url} twice; a router serves one endpoint")

    @property
    def served(self) -> list[ServedRouter]:
        """The routers, read."""
        return [served_router(text) for text in self.routers]


def served_router(text: str) -> ServedRouter:
    """Return the router that `ENDPOINT=URL` names.

    Raises:
        ValueError: It names none.
    """
    endpoint, _, url = text.rpartition("=")
    parts = urlsplit(url)
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    if not endpoint or not is_http_url(url) or not plain:
        raise ValueError("routers has an entry that is not ENDPOINT=http://HOST:PORT")
    return ServedRouter(endpoint, url.rstrip("/"))
