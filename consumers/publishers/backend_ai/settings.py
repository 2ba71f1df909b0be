"""The settings of the publisher for Backend.AI's AppProxy."""

from types import MappingProxyType
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Meta

from events.limits import Limited, is_http_url
from events.masks import hidden
from events.server.url import masked_url, parse_server_url

_NOBODY = "00000000-0000-0000-0000-000000000000"

Seconds = Annotated[float, Meta(ge=1, le=3_600)]


class BackendAISettings(Limited, frozen=True, kw_only=True):
    """Which AppProxy is fed, and how.

    The token is the coordinator's `api_secret`; it is shown nowhere.

    Attributes:
        form: `bulk` is the HTTP API of coordinators from 26.4.4 on; `handoff` is the Redis keys and
            the event that those of 25.13 to 26.4.3 read.
        coordinator_url: `http://` or `https://`. The form `handoff` needs it only where nobody else
            makes the endpoints at the coordinator.
        token: What the coordinator calls `api_secret`.
        timeout_s: The longest time for one request; the coordinator itself waits up to 15 s for a
            worker before it answers.
        reconcile_s: Seconds between two times at which everything is said again: neither a
            coordinator nor its workers can be asked for what they have.
        domain: The domain of endpoints whose owner has none.
        project: The project of endpoints whose owner has none that is a UUID.
        user: The user of endpoints whose owner has none that is a UUID.
        redis_url: The Redis of the form `handoff`, which the coordinator calls `core_redis`. It
            names no database: the hand-off has 2 and 4.
        wire_format: How events are written: `msgpack` up to 26.8, `json` from 26.9 on.
        expiry_s: Seconds after which a key of the hand-off expires; at least three times
            *reconcile_s*, in which it is written again.
        stream_max: About how many entries the stream of events is cut to.
        coordinator_checks: Whether the coordinator checks the health of routes, too. It then gives
            no traffic to a route that it has not yet found healthy.
        placeholder: `host:port` of the one route that an endpoint without routes is given, because
            a coordinator of the form `handoff` may keep the old ones when it is given none. Nobody
            listens there, or the publisher does: see *placeholder_port*. Empty for none.
        placeholder_port: The port where the publisher answers 503, for *placeholder* to lead to;
            without it a worker breaks connections to an endpoint without routes. 0: nowhere.
    """

    SECRETS = MappingProxyType({"token": hidden, "redis_url": masked_url})

    form: Literal["bulk", "handoff"] = "bulk"
    coordinator_url: str = ""
    token: str = ""
    timeout_s: Seconds = 30.0
    reconcile_s: Seconds = 30.0
    domain: Annotated[str, Meta(min_length=1, max_length=256)] = "default"
    project: str = _NOBODY
    user: str = _NOBODY
    redis_url: str = ""
    wire_format: Literal["msgpack", "json"] = "msgpack"
    expiry_s: Annotated[int, Meta(ge=30, le=604_800)] = 3_600
    stream_max: Annotated[int, Meta(ge=1_000, le=1_000_000)] = 4_096
    coordinator_checks: bool = False
    placeholder: str = "127.0.0.1:9"
    placeholder_port: Annotated[int, Meta(ge=0, le=65_535)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coordinator_url:
            _check_url(self.coordinator_url)
        if not self.token.isascii() or not self.token.isprintable():
            raise ValueError("token must consist of printable ASCII characters")
        for name in ("project", "user"):
            if as_uuid(getattr(self, name)) is None:
                raise ValueError(f"{name} must be a UUID, got {getattr(self, name)!r}")
        if self.redis_url and parse_server_url(self.redis_url).database:
            raise ValueError("redis_url must name no database: the hand-off lies in 2 and 4")
        if self.expiry_s < 3 * self.reconcile_s:
            raise ValueError(
                f"expiry_s must be at least three times reconcile_s, {3 * self.reconcile_s:g}, for"
                f" keys to be refreshed well before they expire, got {self.expiry_s}"
            )
        if self.placeholder:
            address_of(self.placeholder)


def _check_url(url: str) -> None:
    """Refuse what is no address, and a login, which would be shown."""
    parts = urlsplit(url) if is_http_url(url) else None
    if parts is None or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("coordinator_url must be http://HOST[:PORT] or https://HOST[:PORT]")


def as_uuid(text: str | None) -> UUID | None:
    """Return the UUID that *text* is, None if it is none."""
    try:
        return UUID(text or "")
    except ValueError:
        return None


def address_of(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`.

    Raises:
        ValueError: It is none.
    """
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65_535):
        raise ValueError(f"placeholder must be host:port, got {text!r}")
    return host, int(port)
